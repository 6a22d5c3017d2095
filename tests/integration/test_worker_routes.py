"""A worker whose tenants have endpoints and headers of their own, which change while it runs."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.histories import of_receiver
from tests.support.kafka_broker import KafkaCluster
from tests.support.processes import wait_until
from tests.support.remote_write_receiver import Receiver, Reply
from tests.support.span_load import NORTH, SOUTH, Shop, Tenant
from tests.support.workers import Stage, metric, open_stage

CALLS = "traces_spanmetrics_calls_total"
OPERATION = ("tenant", "service", "span_name", "span_kind", "status_code")
SECRET = "hush-hush"  # noqa: S105  nobody's


class Place:
    """A stage with two receivers and a file of overrides."""

    def __init__(self, folder: Path, kafka: KafkaCluster, stack: ExitStack) -> None:
        self.shared, self.own = stack.enter_context(Receiver()), stack.enter_context(Receiver())
        self._file = folder / "overrides.yaml"
        self.override({})
        overrides = {
            "per_tenant_override_config": str(self._file),
            "per_tenant_override_period": "1s",
        }
        self.stage: Stage = stack.enter_context(
            open_stage(
                folder, kafka, self.shared.url, interval="500ms", blocks={"overrides": overrides}
            )
        )

    def override(self, tenants: dict[str, Any]) -> None:
        """Change the file, all at once."""
        entries = {name: {"metrics_generator": entry} for name, entry in tenants.items()}
        written = self._file.with_suffix(".new")
        written.write_text(json.dumps({"overrides": entries}))
        written.replace(self._file)


@pytest.fixture
def place(kafka: KafkaCluster, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        made = Place(tmp_path, kafka, stack)
        yield made
        assert made.shared.violations == made.own.violations == []


def last(receiver: Receiver, tenant: Tenant) -> Counter[tuple[str, ...]]:
    """The last value of each series of calls."""
    return Counter(
        {
            tuple(each.labels.get(label, "") for label in OPERATION): int(each.samples[-1][1])
            for each in of_receiver(receiver, tenant.name, CALLS)
        }
    )


def truth(shop: Shop, tenant: Tenant) -> Counter[tuple[str, ...]]:
    return Counter({each: n for each, n in shop.truth.calls.items() if each[0] == tenant.name})


def test_tenants_move_between_endpoints_and_change_headers_while_a_worker_runs(
    place: Place,
) -> None:
    own = {"url": place.own.url, "name": "own", "headers": {"X-Key": SECRET}}
    place.override(
        {"north": {"remote_write_headers": {"X-Key": "old"}}, "south": {"remote_write": [own]}}
    )
    shop = Shop(place.stage.kafka.bootstrap, place.stage.topic)
    (worker,) = place.stage.start("pod-0")
    shop.sell([NORTH, SOUTH], range(20), time.time_ns())
    wait_until(lambda: last(place.shared, NORTH) == truth(shop, NORTH), "all of north")
    wait_until(lambda: last(place.own, SOUTH) == truth(shop, SOUTH), "all of south")
    assert {request.tenant for request in place.shared.requests} == {"north"}
    assert {request.tenant for request in place.own.requests} == {"south"}
    assert {request.headers.get("X-Key") for request in place.shared.requests} == {"old"}

    place.override({"north": {"remote_write_headers": {"x-key": "new"}}})
    shop.sell([NORTH, SOUTH], range(20, 40), time.time_ns())
    wait_until(lambda: last(place.shared, SOUTH) == truth(shop, SOUTH), "south at the other one")
    wait_until(lambda: last(place.shared, NORTH) == truth(shop, NORTH), "more of north")
    wait_until(
        lambda: any(each.headers.get("x-key") == "new" for each in place.shared.requests),
        "the new header",
    )
    place.stage.wait_committed()
    assert metric(worker, "spanmill_overrides_reloads_total", outcome="failed") == 0.0
    assert SECRET not in worker.get("/status")
    assert worker.stop() == 0
    assert SECRET not in worker.describe()


def test_a_tenants_own_endpoint_that_is_down_costs_the_others_nothing(place: Place) -> None:
    place.own.always(Reply(status=503))
    place.override({"south": {"remote_write": [{"url": place.own.url, "name": "own"}]}})
    shop = Shop(place.stage.kafka.bootstrap, place.stage.topic)
    (worker,) = place.stage.start("pod-0")
    for wave in range(4):
        shop.sell([NORTH, SOUTH], range(wave * 10, wave * 10 + 10), time.time_ns())
    place.stage.wait_committed()
    assert metric(worker, "spanmill_pauses_total") == 0.0
    wait_until(lambda: last(place.shared, NORTH) == truth(shop, NORTH), "all of north")
    place.own.always(None)
    wait_until(lambda: last(place.own, SOUTH) == truth(shop, SOUTH), "all of south, in the end")
    assert metric(worker, "spanmill_remote_write_samples_dropped_total", reason="collapsed") > 0
    assert worker.stop() == 0
