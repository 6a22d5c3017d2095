from typing import Any, cast

from consumer.config import parse_config
from consumer.overrides import Overrides
from consumer.seam.owner import Owner, OwnerParts, OwnerSettings
from tests.support.clock import HandClock
from tests.support.fakes import FakeSender

CONFIG = "metrics_generator: {storage: {remote_write: [{url: 'http://a/x', name: main}]}}"


def test_changed_overrides_reach_the_sink_of_the_owners() -> None:
    overrides = Overrides(parse_config(CONFIG, environ={}), environ={}, now_ms=0)
    sink = FakeSender([])
    unused = cast("Any", None)
    parts = OwnerParts(
        sink=sink,
        transactions=unused,
        snapshots=unused,
        reporter=unused,
        clock=HandClock(),
        open_registry=unused,
    )
    settings = OwnerSettings("deltas", "snapshots", shards=2, snapshot_ms=1, max_age_ms=1)
    Owner(settings, parts, overrides.tenants, 1_000).apply(overrides, 1_000)
    assert sink.routes is not None
    assert sink.routes.names("acme") == ["main"]
