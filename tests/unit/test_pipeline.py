import json
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from consumer.config import parse_config
from consumer.config.load import parse_tenants
from consumer.config.tenants import SettingsByTenant
from consumer.decode import Decoder, Encoding, RawRecords, open_decoder
from consumer.pipeline import OUTSIDE_SLACK, SKIPPED, Outcome, Pipeline
from processors.batch import Projection
from tests.support.otlp import START_NS, push_bytes, record, resource_spans, span

CALLS = "traces_spanmetrics_calls_total"
REQUESTS = "traces_service_graph_request_total"
START_MS = START_NS // 1_000_000


def settings(static: object = None, **entries: object) -> SettingsByTenant:
    """``entries`` are what stands below ``metrics_generator`` of a tenant."""
    config = parse_config(json.dumps({"metrics_generator": static}), environ={})
    file = {"overrides": {name: {"metrics_generator": entry} for name, entry in entries.items()}}
    return parse_tenants(config, json.dumps(file), environ={})


def dimensions(*keys: str) -> dict[str, Any]:
    return {"processor": {"span_metrics": {"dimensions": list(keys)}}}


def wait(time: str) -> dict[str, Any]:
    return {"processor": {"service_graphs": {"wait": time}}}


class Opener:
    """Opens decoders and remembers what each was asked to read."""

    def __init__(self, encoding: Encoding = Encoding.OTLP_PROTO) -> None:
        self.asked: list[Projection] = []
        self._open = partial(open_decoder, encoding, implementation="python")

    def __call__(self, projection: Projection) -> Decoder:
        self.asked.append(projection)
        return self._open(projection)


def pipeline(tenants: SettingsByTenant) -> Pipeline:
    return Pipeline(Opener(), tenants)


def records(
    values: Sequence[bytes], tenants: Sequence[str], *, time_ms: int = START_MS
) -> RawRecords:
    """One record a tenant, all of lane 0."""
    names = tuple(dict.fromkeys(tenants))
    count = len(values)
    return RawRecords(
        values=values,
        tenants=names,
        tenant=np.array([names.index(name) for name in tenants], np.uint32),
        time_ms=np.full(count, time_ms, np.int64),
        lane=np.zeros(count, np.uint32),
    )


def one_span(own: int = 1, *, service: str = "svc", **fields: Any) -> bytes:
    parent = fields.pop("parent", 0)
    made = span(
        span_id=own.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        **{"kind": 1, **fields},
    )
    return record(resource_spans([made], service=service))


def rows(outcome: Outcome, family: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """(tenant, labels, first value) of each delta of ``family``."""
    for frame in outcome.frames:
        for index, each in enumerate(frame.schema.families):
            if each.name == family:
                for row in range(len(frame)):
                    texts = [frame.strings[code] for code in frame.labels[row].tolist()]
                    labels = zip(frame.schema.label_names, texts, strict=True)
                    shown = {name: text for name, text in labels if text}
                    value = float(frame.values[index][row, 0])
                    yield frame.tenants[frame.tenant[row]], shown, value


def test_tenants_with_equal_settings_share_a_plan_and_are_pushed_together() -> None:
    names = [f"t{number}" for number in range(1_000)]
    made = pipeline(settings(dimensions("a"), **dict.fromkeys(names[:500], dimensions("a"))))
    assert made.plans == 1
    outcome = made.push(records([one_span()] * 1_000, names))
    assert len([frame for frame in outcome.frames if len(frame) == 1_000]) == 1
    assert len(list(rows(outcome, CALLS))) == 1_000


def test_each_tenant_has_the_labels_of_its_own_settings() -> None:
    made = pipeline(settings(acme=dimensions("a"), other=dimensions("b")))
    values = [one_span(attrs={"a": "x", "b": "y"})] * 4
    outcome = made.push(records(values, ["acme", "other", "third", "acme"]))
    found = {
        tenant: ({"a", "b"} & labels.keys(), value)
        for tenant, labels, value in rows(outcome, CALLS)
    }
    assert found == {"acme": ({"a"}, 2.0), "other": ({"b"}, 1.0), "third": (set(), 1.0)}


def test_a_batch_of_one_plan_s_tenants_is_not_cut() -> None:
    made = pipeline(settings(acme=dimensions("a")))
    outcome = made.push(records([one_span()] * 3, ["b", "c", "d"]))
    assert len(list(outcome.frames)) == 1
    assert outcome.used == {"span-metrics": Counter("bcd")}


def test_the_decoder_reads_what_any_tenant_asks_for_and_is_opened_again_when_that_changes() -> None:
    opener = Opener()
    made = Pipeline(opener, settings(acme=dimensions("a"), other=dimensions("b")))
    assert len(opener.asked) == 1
    assert {"a", "b"} <= set(opener.asked[0].span_keys)
    made.apply(settings(acme=dimensions("b"), other=dimensions("a"), third={"processors": []}))
    assert "c" not in opener.asked[-1].span_keys
    made.apply(settings(acme=dimensions("c")))
    assert "c" in opener.asked[-1].span_keys
    assert "a" not in opener.asked[-1].span_keys
    before = len(opener.asked)
    made.apply(settings(acme={**dimensions("c"), "max_active_series": 5}))
    assert len(opener.asked) == before


def test_a_tenant_without_processors_is_counted_and_nothing_else() -> None:
    made = pipeline(settings(acme={"processors": []}))
    outcome = made.push(records([one_span(), one_span()], ["acme", "other"]))
    assert outcome.spans == Counter(acme=1, other=1)
    assert {tenant for tenant, _, _ in rows(outcome, CALLS)} == {"other"}
    assert all(used.keys() == {"other"} for used in outcome.used.values())
    assert not [key for key in outcome.discarded if key[0] == "acme"]


def test_the_slack_is_each_tenant_s_own() -> None:
    made = pipeline(settings(wide={"ingestion_time_range_slack": "2m"}))
    late = records([one_span(), one_span()], ["wide", "other"], time_ms=START_MS + 60_000)
    outcome = made.push(late)
    assert {tenant for tenant, _, _ in rows(outcome, CALLS)} == {"wide"}
    assert outcome.discarded["other", "all", OUTSIDE_SLACK] == 1


def test_spans_of_any_time_count_without_slack() -> None:
    made = Pipeline(Opener(), settings(), has_slack=False)
    outcome = made.push(records([one_span()], ["acme"], time_ms=0))
    assert len(list(rows(outcome, CALLS))) == 1


def test_skipped_records_reach_no_plan() -> None:
    made = Pipeline(Opener(Encoding.TEMPO), settings(acme=dimensions("a")))
    outcome = made.push(records([push_bytes([one_span()], skip=True)], ["acme"]))
    assert outcome.discarded == Counter({("acme", "all", SKIPPED): 1})
    assert outcome.frames == []


def test_a_tenant_that_moves_to_other_settings_keeps_its_half_edges() -> None:
    made = pipeline(settings())
    made.push(records([one_span(1, kind=3, service="a")], ["acme"]))
    made.apply(settings(acme=wait("20s")))
    assert made.pending() == 1
    outcome = made.push(records([one_span(2, kind=2, parent=1, service="b")], ["acme"]))
    [(tenant, labels, _)] = rows(outcome, REQUESTS)
    assert (tenant, labels["client"], labels["server"]) == ("acme", "a", "b")
    assert made.pending() == 0


def test_a_plan_that_nobody_has_any_more_stays_until_nothing_waits_in_it() -> None:
    made = pipeline(settings(acme=wait("5s")))
    made.push(records([one_span(1, kind=3, attrs={"peer.service": "x"})], ["acme"]))
    made.apply(settings())
    assert made.plans == 2
    outcome = made.advance(0, START_MS + 5_001)
    assert [tenant for tenant, _, _ in rows(outcome, REQUESTS)] == ["acme"]
    assert made.plans == 1


@pytest.mark.parametrize("how", ["close", "forget"])
def test_a_lane_that_ends_ends_in_all_plans(how: str) -> None:
    made = pipeline(settings(acme=wait("5s")))
    made.push(records([one_span(1, kind=3), one_span(2, kind=3)], ["acme", "other"]))
    assert made.pending() == 2
    made.apply(settings())
    getattr(made, how)(0)
    assert (made.pending(), made.plans) == (0, 1)


def test_a_plan_that_is_wanted_again_goes_on() -> None:
    made = pipeline(settings(acme=wait("5s")))
    made.push(records([one_span(1, kind=3)], ["acme"]))
    made.apply(settings())
    made.apply(settings(acme=wait("5s")))
    made.advance(0, START_MS + 5_001)
    assert made.plans == 2


def test_records_of_one_tenant_let_time_pass_for_the_others() -> None:
    made = pipeline(settings(acme=wait("5s")))
    half = one_span(1, kind=3, attrs={"peer.service": "x"})
    made.push(records([half], ["acme"]))
    later = one_span(5, start_time_unix_nano=START_NS + 6_000_000_000)
    outcome = made.push(records([later], ["other"], time_ms=START_MS + 6_000))
    assert [tenant for tenant, _, _ in rows(outcome, REQUESTS)] == ["acme"]


def test_parts_of_processors_and_names_are_those_of_the_tenant() -> None:
    made = pipeline(
        settings(
            parts={"processors": ["span-metrics-count", "host-info"]},
            clean={"span_name_sanitization": "enabled"},
            dry={"span_name_sanitization": "dry_run"},
        )
    )
    made_span = span("GET /users/42", kind=1)
    value = record(resource_spans([made_span], resource={"host.id": "h"}))
    outcome = made.push(records([value] * 4, ["parts", "clean", "dry", "plain"]))
    names = {tenant: labels["span_name"] for tenant, labels, _ in rows(outcome, CALLS)}
    assert names == {
        "parts": "GET /users/42",
        "clean": "GET /users/<_>",
        "dry": "GET /users/42",
        "plain": "GET /users/42",
    }
    assert outcome.sanitized == Counter(clean=1, dry=1)
    sizes = {tenant for tenant, _, _ in rows(outcome, "traces_spanmetrics_size_total")}
    assert sizes == {"clean", "dry", "plain"}
    assert [tenant for tenant, _, _ in rows(outcome, "traces_host_info")] == ["parts"]


def test_a_host_is_told_though_all_its_spans_are_outside_the_slack() -> None:
    made = pipeline(settings(acme={"processors": ["host-info"]}, other={"processors": []}))
    value = record(resource_spans([span()], resource={"host.id": "h"}))
    late = records([value, value], ["acme", "other"], time_ms=START_MS + 3_600_000)
    outcome = made.push(late)
    told = [(tenant, labels) for tenant, labels, _ in rows(outcome, "traces_host_info")]
    assert told == [("acme", {"grafana_host_id": "h", "host_source": "host.id"})]
    assert outcome.used == {}
    assert sum(outcome.discarded.values()) == 2


def test_a_host_of_records_that_want_no_metrics_is_not_told() -> None:
    opener = Opener(Encoding.TEMPO)
    made = Pipeline(opener, settings({}, acme={"processors": ["host-info"]}))
    value = record(resource_spans([span()], resource={"host.id": "h"}))
    skipped = made.push(records([push_bytes([value], skip=True)], ["acme"]))
    assert list(rows(skipped, "traces_host_info")) == []
    taken = made.push(records([push_bytes([value])], ["acme"]))
    assert len(list(rows(taken, "traces_host_info"))) == 1
