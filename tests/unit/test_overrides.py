import logging
import math
from pathlib import Path

import pytest

from consumer.config import parse_config
from consumer.errors import ConfigError, InputError
from consumer.overrides import Overrides, Reload
from tests.support.fakes import CALLS, CONFIG, INTERVAL_MS, Loop, incoming
from tests.support.otlp import START_NS, record, resource_spans, span

SIZES = "traces_spanmetrics_size_total"
REQUESTS = "traces_service_graph_request_total"
RELOADS = "spanmill_overrides_reloads_total"
PERIOD_MS = 10_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "overrides.yaml"
    file.write_text(dimensions(acme="a"))
    return file


def dimensions(**tenants: str) -> str:
    entries = [f"{name}: {entry(key)}" for name, key in tenants.items()]
    return f"overrides: {{{', '.join(entries)}}}"


def entry(key: str) -> str:
    return f"{{metrics_generator: {{processor: {{span_metrics: {{dimensions: [{key}]}}}}}}}}"


def overrides_of(file: Path, more: str = "") -> Overrides:
    config = f"overrides: {{per_tenant_override_config: '{file}' {more}}}"
    return Overrides(parse_config(config, environ={}), environ={"KEY": "x"}, now_ms=0)


def dimensions_of(overrides: Overrides, tenant: str = "acme") -> tuple[str, ...]:
    return overrides.tenants.for_tenant(tenant).processing.span_metrics.dimensions


def loop_of(file: Path) -> Loop:
    loop = Loop(f"{CONFIG}\noverrides: {{per_tenant_override_config: '{file}'}}")
    loop.assign(0, 1)
    return loop


def one_span(attribute: str, *, kind: int = 2, own: int = 1, parent: int = 0) -> bytes:
    made = span(
        kind=kind,
        span_id=own.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        start_time_unix_nano=START_NS - 50_000_000,
        attrs={"a": attribute, "b": attribute},
    )
    return record(resource_spans([made], service=f"s{own}"))


def test_without_a_file_there_is_nothing_to_look_at() -> None:
    overrides = Overrides(parse_config("", environ={}), environ={}, now_ms=0)
    overrides.wanted.set()
    assert overrides.path is None
    assert overrides.look(1_000_000) is None


def test_the_file_counts_from_the_start(file: Path) -> None:
    assert dimensions_of(overrides_of(file)) == ("a",)
    assert dimensions_of(overrides_of(file), "other") == ()


def test_a_file_that_is_wrong_or_absent_is_refused_at_the_start(file: Path) -> None:
    file.write_text("overrides: {acme: 3}")
    with pytest.raises(ConfigError, match=r"^overrides\.acme: found a value, expected keys"):
        overrides_of(file)
    file.write_text("overrides: [")
    with pytest.raises(ConfigError, match=r"overrides\.yaml: no valid YAML at line 1"):
        overrides_of(file)
    with pytest.raises(InputError, match="absent: cannot read"):
        overrides_of(file / "../absent")


def test_variables_are_expanded_in_the_file_too(file: Path) -> None:
    file.write_text(dimensions(acme='"${KEY}"'))
    assert dimensions_of(overrides_of(file)) == ("x",)


def test_the_file_is_looked_at_once_a_period(file: Path) -> None:
    overrides = overrides_of(file)
    file.write_text(dimensions(acme="b"))
    assert overrides.look(PERIOD_MS - 1) is None
    assert overrides.look(PERIOD_MS) == Reload("changed")
    assert dimensions_of(overrides) == ("b",)
    assert overrides.look(2 * PERIOD_MS - 1) is None
    assert overrides.look(2 * PERIOD_MS) == Reload("unchanged")


def test_the_period_can_be_set(file: Path) -> None:
    overrides = overrides_of(file, ", per_tenant_override_period: 2s")
    assert overrides.look(1_999) is None
    assert overrides.look(2_000) == Reload("unchanged")


def test_whoever_wants_it_has_the_file_looked_at_at_once(file: Path) -> None:
    overrides = overrides_of(file)
    file.write_text(dimensions(acme="b"))
    overrides.wanted.set()
    assert overrides.look(1) == Reload("changed")
    assert overrides.look(2) is None


def test_other_text_of_the_same_meaning_changes_nothing(file: Path) -> None:
    overrides = overrides_of(file)
    file.write_text("# a comment\n" + dimensions(acme="a"))
    assert overrides.look(PERIOD_MS) == Reload("unchanged")


def test_a_broken_file_leaves_the_last_good_one_and_tells_all_problems(file: Path) -> None:
    overrides = overrides_of(file)
    file.write_text(
        "overrides: {acme: {metrics_generator: {processors: [x], max_active_series: -1}}}"
    )
    reload = overrides.look(PERIOD_MS)
    assert reload is not None
    assert reload.outcome == "failed"
    path = "overrides.acme.metrics_generator"
    assert [problem.partition(":")[0] for problem in reload.problems] == [
        f"{path}.max_active_series",
        f"{path}.processors[0]",
    ]
    assert dimensions_of(overrides) == ("a",)
    file.unlink()
    gone = overrides.look(2 * PERIOD_MS)
    assert gone is not None
    assert gone.problems == [f"{file}: cannot read the configuration: No such file or directory"]
    file.write_text(dimensions(acme="b"))
    assert overrides.look(3 * PERIOD_MS) == Reload("changed")


def test_a_worker_counts_reloads_and_goes_on_with_the_last_good_file(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loop = loop_of(file)
    loop.turn(after_ms=PERIOD_MS)
    good_s = loop.clock.monotonic_s()
    assert loop.own(RELOADS, outcome="unchanged") == 1
    file.write_text("overrides: {acme: {metrics_generator: {processors: [x]}}}")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            loop.turn(after_ms=PERIOD_MS)
    assert loop.own(RELOADS, outcome="failed") == 3
    assert loop.own("spanmill_overrides_last_good_timestamp_seconds") == good_s
    [warning] = [each for each in caplog.records if "overrides" in each.message]
    assert "overrides.acme.metrics_generator.processors[0]: found 'x'" in warning.message
    loop.turn(incoming(0, value=one_span("v"), tenant="acme"), after_ms=INTERVAL_MS)
    assert labels_of(loop, "acme", CALLS)[-1]["a"] == "v"


def labels_of(loop: Loop, tenant: str, name: str) -> list[dict[str, str]]:
    """The labels of each sample of ``name``, in order."""
    return [
        {
            label: block.strings[code]
            for label, code in zip(block.label_names, row, strict=True)
            if code
        }
        for tick in loop.sender.ticks
        for block in tick.tenants.get(tenant, ())
        if block.name == name
        for row in block.labels.tolist()
    ]


def test_a_change_of_one_tenant_leaves_all_other_series_as_they_are(file: Path) -> None:
    loop = loop_of(file)
    for offset, tenant in enumerate(["acme", "other"]):
        loop.turn(incoming(offset, value=one_span("v"), tenant=tenant))
    loop.turn(after_ms=INTERVAL_MS)
    file.write_text(dimensions(acme="b"))
    loop.overrides.wanted.set()
    for offset, tenant in enumerate(["acme", "other"], start=2):
        loop.turn(incoming(offset, value=one_span("w", own=9), tenant=tenant))
    loop.turn(incoming(5, value=one_span("v"), tenant="other"), after_ms=INTERVAL_MS)
    assert loop.told()["other", "s1"][-1] == (2 * INTERVAL_MS, 2.0)
    assert "w" in {labels.get("b") for labels in labels_of(loop, "acme", CALLS)}
    told = loop.told()["acme", "s1"]
    assert (2 * INTERVAL_MS, 1.0) in told, "what it was before the change ends by going stale"
    assert not any(math.isnan(value) for _, value in told)


def test_families_that_a_change_does_not_touch_go_on_counting(file: Path) -> None:
    loop = loop_of(file)
    loop.turn(incoming(0, value=one_span("v"), tenant="acme"))
    loop.turn(after_ms=INTERVAL_MS)
    buckets = "{processor: {span_metrics: {dimensions: [a], histogram_buckets: [1, 2]}}}"
    file.write_text(f"overrides: {{acme: {{metrics_generator: {buckets}}}}}")
    loop.overrides.wanted.set()
    loop.turn()
    loop.turn(incoming(1, value=one_span("v"), tenant="acme"), after_ms=INTERVAL_MS)
    assert loop.told(CALLS)["acme", "s1"][-1][1] == 2.0
    assert [value for _, value in loop.told(SIZES)["acme", "s1"]][-1] > 2 * 40


def test_half_edges_pair_across_a_change(file: Path) -> None:
    loop = loop_of(file)
    loop.turn(incoming(0, value=one_span("v", kind=3, own=1), tenant="acme"))
    assert loop.own("spanmill_edges_pending") == 1
    file.write_text(dimensions(acme="b"))
    loop.overrides.wanted.set()
    loop.turn()
    loop.turn(incoming(1, value=one_span("v", own=2, parent=1), tenant="acme"))
    assert loop.own("spanmill_edges_pending") == 0
    loop.turn(after_ms=INTERVAL_MS)
    assert [value for _, value in loop.told(REQUESTS)["acme", ""]] == [0.0, 1.0]


def test_limits_change_with_the_file(file: Path) -> None:
    loop = loop_of(file)
    loop.turn(incoming(0, value=one_span("v"), tenant="acme"))
    file.write_text("overrides: {acme: {metrics_generator: {max_active_series: 1}}}")
    loop.overrides.wanted.set()
    loop.turn()
    loop.turn(incoming(1, value=one_span("v", own=2), tenant="acme"))
    loop.turn(incoming(2, value=one_span("v", own=2), tenant="other"))
    loop.turn(after_ms=INTERVAL_MS)
    assert {tenant for tenant, service in loop.told() if service == "s2"} == {"other"}


def test_a_tenant_that_writes_nothing_counts_on_and_is_committed(file: Path) -> None:
    file.write_text("overrides: {acme: {metrics_generator: {disable_collection: true}}}")
    loop = loop_of(file)
    loop.turn(incoming(0, value=one_span("v"), tenant="acme"), after_ms=INTERVAL_MS)
    assert loop.source.committed == {0: 1}
    assert loop.told() == {}
    file.write_text("")
    loop.overrides.wanted.set()
    loop.turn()
    loop.turn(incoming(1, value=one_span("v"), tenant="acme"), after_ms=INTERVAL_MS)
    assert loop.told()["acme", "s1"][-1][1] == 2.0


def test_offsets_wait_for_the_tenant_that_is_collected_last(file: Path) -> None:
    file.write_text("overrides: {slow: {metrics_generator: {collection_interval: 15s}}}")
    loop = loop_of(file)
    loop.turn(incoming(0, value=one_span("v"), tenant="slow"))
    loop.turn(incoming(1, value=one_span("v"), tenant="fast"), after_ms=INTERVAL_MS)
    loop.turn(incoming(2, value=one_span("v"), tenant="fast"), after_ms=INTERVAL_MS)
    assert loop.source.committed == {}
    assert [at for at, _ in loop.told()["fast", "s1"]] == [1, INTERVAL_MS, 2 * INTERVAL_MS]
    boundary_ms = 15_000 - loop.clock.now_ms() % 15_000
    loop.turn(after_ms=boundary_ms)
    assert loop.told()["slow", "s1"] == [(1, 0.0), (2 * INTERVAL_MS + boundary_ms, 1.0)]
    assert loop.source.committed == {0: 3}
    loop.turn(incoming(3, value=one_span("v"), tenant="fast"), after_ms=INTERVAL_MS)
    assert loop.source.committed == {0: 4}, "nobody waits for a tenant without spans"
    loop.turn(incoming(4, value=one_span("v"), tenant="slow"), after_ms=INTERVAL_MS)
    loop.turn(incoming(5, value=one_span("v"), tenant="fast"), after_ms=INTERVAL_MS)
    assert loop.source.committed == {0: 4}
    loop.stop()
    assert loop.source.committed == {0: 6}


def test_an_interval_changes_with_the_file(file: Path) -> None:
    file.write_text("")
    loop = loop_of(file)
    loop.turn(incoming(0, value=one_span("v"), tenant="acme"), after_ms=INTERVAL_MS)
    file.write_text("overrides: {acme: {metrics_generator: {collection_interval: 15s}}}")
    loop.overrides.wanted.set()
    loop.turn()
    before = len(loop.told()["acme", "s1"])
    loop.turn(incoming(1, value=one_span("v"), tenant="acme"), after_ms=INTERVAL_MS)
    assert len(loop.told()["acme", "s1"]) == before
    assert loop.source.committed == {0: 1}
    loop.turn(after_ms=15_000)
    assert loop.told()["acme", "s1"][-1][1] == 2.0
    assert loop.source.committed == {0: 2}


def test_a_change_of_a_tenants_endpoints_reaches_the_sender(file: Path) -> None:
    loop = loop_of(file)
    file.write_text("overrides: {acme: {metrics_generator: {remote_write: [{url: 'http://a/x'}]}}}")
    loop.turn(after_ms=PERIOD_MS)
    assert loop.sender.routes is not None
    assert loop.sender.routes.names("acme") == ["acme/a"]


def test_a_secret_that_cannot_be_read_leaves_the_last_good_settings(file: Path) -> None:
    overrides = overrides_of(file)
    file.write_text(
        "overrides: {acme: {metrics_generator: {remote_write:"
        " [{url: 'http://a/x', bearer_token_file: /absent}]}}}"
    )
    reload = overrides.look(PERIOD_MS)
    assert reload is not None
    assert reload.outcome == "failed"
    assert "cannot read /absent" in reload.problems[0]
    assert overrides.routes.names("acme") == []
