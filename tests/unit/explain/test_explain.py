"""What explain says of single spans, and why."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from consumer.config.load import load_config
from consumer.config.tenants import settings_by_tenant
from consumer.errors import InputError
from consumer.explain import run_explain
from consumer.explain.reasons import words_for
from consumer.files.otlp_files import Place, as_places, places_file
from tests.support import otlp
from tests.support.graphs import CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER, WILD, GraphRecord
from tests.support.graphs import half as half_of

ROOT = Path(__file__).parents[3]
BOTH = ("span-metrics", "service-graphs")


class Case:
    """A folder with a configuration and a file of spans."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "spans.otlp"
        self.graphs: Mapping[str, Any] = {}
        self.span_metrics: Mapping[str, Any] = {}
        self.limits: Mapping[str, Any] = {}
        self.encoding = "otlp_proto"

    def write(self, *values: bytes) -> None:
        framed = [len(value).to_bytes(4, "big") + value for value in values]
        self.file.write_bytes(b"".join(framed))

    def told(self, *parts: ResourceSpans, **asked: Any) -> str:
        """What is printed of ``parts``, a record each; of the file as it is without any."""
        if parts:
            self.write(*(GraphRecord([part]).value() for part in parts))
        document = {
            "kafka": {"encoding": self.encoding},
            "metrics_generator": {
                "processor": {"service_graphs": self.graphs, "span_metrics": self.span_metrics}
            },
            "overrides": {
                "defaults": {"metrics_generator": {"processors": [*BOTH], **self.limits}}
            },
        }
        path = self.folder / "spanmill.yaml"
        path.write_text(json.dumps(document))
        output = io.StringIO()
        run_explain(load_config(path, environ={}), [self.file], output=output, **asked)
        return output.getvalue()

    def place(self, *times_s: float) -> None:
        """Say when each record was written, in seconds after the spans began."""
        start_ms = otlp.START_NS // 1_000_000
        places = [
            Place(start_ms + round(at_s * 1_000), number % 2, number)
            for number, at_s in enumerate(times_s)
        ]
        places_file(self.file).write_bytes(as_places(places))

    def lines(self, *parts: ResourceSpans, **asked: Any) -> list[dict[str, Any]]:
        told = self.told(*parts, as_json=True, **asked)
        return [json.loads(line) for line in told.splitlines()]

    def graph(self, *parts: ResourceSpans) -> list[dict[str, Any]]:
        """What service graphs did with each span, with the hints."""
        return [
            {**line["processors"]["service-graphs"], "hints": texts(line)}
            for line in self.lines(*parts)
        ]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def texts(line: Mapping[str, Any]) -> list[str]:
    return [hint["text"] for hint in line["hints"]]


def half(service: str | None, kind: int, own: int, parent: int | None = None, **more: Any) -> Any:
    return half_of(service, kind, own, parent, **more)


def test_a_pair_is_one_edge_of_both_spans(case: Case) -> None:
    client, server = case.lines(half("shop", CLIENT, 1), half("stock", SERVER, 2, 1))
    [of_client] = client["processors"]["service-graphs"]["edges"]
    [of_server] = server["processors"]["service-graphs"]["edges"]
    assert of_client["edge"] == of_server["edge"] == 0
    assert (of_client["side"], of_server["side"]) == ("client", "server")
    assert of_client["other_span_id"] == server["span_id"] == "0000000000000002"
    assert of_client["labels"] == {"client": "shop", "server": "stock"}
    assert "traces_service_graph_request_total" in of_client["metrics"]
    assert of_client["unobserved"] == ["traces_service_graph_request_failed_total"]
    assert client["hints"] == server["hints"] == []


def test_a_span_names_the_series_it_counted_in(case: Case) -> None:
    case.span_metrics = {"dimensions": ["zone"], "enable_target_info": True}
    [line] = case.lines(half("shop", SERVER, 1, attrs={"zone": "a"}, resource={"os": "linux"}))
    found = line["processors"]["span-metrics"]
    assert found["counted"] is True
    assert (found["reason"], found["why"]) == (None, None)
    calls, target = found["series"]
    assert calls["metrics"] == [
        "traces_spanmetrics_calls_total",
        "traces_spanmetrics_latency",
        "traces_spanmetrics_size_total",
    ]
    assert calls["labels"] == {
        "job": "shop",
        "service": "shop",
        "span_kind": "SPAN_KIND_SERVER",
        "span_name": "op",
        "status_code": "STATUS_CODE_UNSET",
        "zone": "a",
    }
    assert target["metrics"] == ["traces_target_info"]
    assert target["labels"] == {"job": "shop", "os": "linux"}


@pytest.mark.parametrize(
    ("parts", "hint"),
    [
        ([half("a", SERVER, 2, 9)], "its parent 0000000000000009 is not in the input"),
        (
            [half("a", INTERNAL, 1, None), half("a", SERVER, 2, 1)],
            "its parent 'op' of a (0000000000000001) is of kind internal",
        ),
        (
            [half("a", CLIENT, 1, None, trace=7), half("a", SERVER, 2, 1)],
            "a span with the id of its parent is in the input, but of another trace",
        ),
        (
            [half(None, CLIENT, 1), half("a", SERVER, 2, 1)],
            "its parent 'op' (0000000000000001) is in the input, but that has no service.name",
        ),
    ],
)
def test_a_server_without_a_client_says_what_became_of_its_parent(
    case: Case, parts: Sequence[ResourceSpans], hint: str
) -> None:
    *_, server = case.graph(*parts)
    assert (server["counted"], server["reason"]) == (False, "unpaired_server")
    assert "nothing paired with it within 10s" in server["why"]
    [told] = server["hints"]
    assert told.startswith(hint)


@pytest.mark.parametrize(
    ("parts", "hint"),
    [
        ([half("a", CLIENT, 1)], "no span in the input names it as its parent"),
        (
            [half("a", CLIENT, 1), half("a", INTERNAL, 2, 1)],
            "the spans that name it as their parent are of kind internal",
        ),
        (
            [half("a", CLIENT, 1), half(None, SERVER, 2, 1)],
            "'op' (0000000000000002) names it as its parent, but that has no service.name",
        ),
    ],
)
def test_a_client_without_a_server_says_what_became_of_its_children(
    case: Case, parts: Sequence[ResourceSpans], hint: str
) -> None:
    client, *_ = case.graph(*parts)
    assert client["reason"] == "unpaired_client"
    told, peers = client["hints"]
    assert told.startswith(hint)
    assert peers.startswith("none of its attributes peer.service, ")


def test_a_root_and_a_named_peer_are_edges_to_nodes_that_sent_nothing(case: Case) -> None:
    root, call = case.graph(
        half("shop", SERVER, 1), half("shop", CLIENT, 2, 1, attrs={"peer.service": "bank"})
    )
    [incoming], [outgoing] = root["edges"], call["edges"]
    assert incoming["labels"]["client"] == "user"
    assert outgoing["labels"]["server"] == "bank"
    assert incoming["other_span_id"] is outgoing["other_span_id"] is None
    assert "traces_service_graph_request_client_seconds" in incoming["unobserved"]


def test_filters_limits_and_repeats_are_told_apart(case: Case) -> None:
    left = {"match_type": "strict", "attributes": [{"key": "span.left", "value": "out"}]}
    case.graphs = {"max_items": 1, "filter_policies": [{"exclude": left}]}
    excluded, marked, evicted, kept, again, internal = case.graph(
        half("a", CLIENT, 1, attrs={"left": "out"}),
        half("b", SERVER, 2, 1),
        half("a", CLIENT, 3),
        half("a", CLIENT, 4),
        half("a", CLIENT, 4),
        half("a", INTERNAL, 5),
    )
    assert excluded["reason"] == "service_graphs_filtered"
    assert marked["reason"] == "counterpart_filtered"
    assert evicted["reason"] == "store_full_client"
    assert "max_items (1)" in evicted["why"]
    assert (kept["reason"], again["reason"]) == ("unpaired_client", "repeated")
    assert internal["reason"] == "span_kind"


def test_a_span_that_only_lends_to_an_edge_is_not_said_to_be_counted(case: Case) -> None:
    told = case.told(half("db", SERVER, 2, 1), half("a", CLIENT, 1, attrs={"db.name": "orders"}))
    assert "service-graphs: not counted, database_server: it is of a database" in told
    assert "gives what it knows to edge a -> orders (database)" in told
    assert "service-graphs: 1 database_server, 1 counted" in told


def test_links_are_edges_of_the_span_that_has_them(case: Case) -> None:
    case.graphs = {"enable_span_links": True}
    link = Span.Link(trace_id=(7).to_bytes(16, "big"), span_id=(1).to_bytes(8, "big"))
    sent, received = case.graph(
        half("a", PRODUCER, 1, None, trace=7), half("b", CONSUMER, 2, None, links=[link])
    )
    assert sent["edges"][0]["edge"] == received["edges"][0]["edge"]
    assert sent["edges"][0]["other_trace_id"].endswith("1")


def test_text_that_is_not_utf8_is_the_reason_and_can_be_printed(case: Case) -> None:
    [line] = case.lines(half(WILD, SERVER, 1))
    assert line["service"] == "\ufffd" * len(WILD)
    assert {each["reason"] for each in line["processors"].values()} == {"invalid_utf8"}


def test_series_without_room_are_said_to_be_in_the_overflow(case: Case) -> None:
    case.limits = {"max_active_series": 1}
    told = case.told(half("a", SERVER, 1), half("b", SERVER, 2))
    assert "in traces_spanmetrics_calls_total" in told
    assert "in the overflow series of traces_spanmetrics_calls_total, " in told


def test_clocks_that_differ_are_hinted_at(case: Case) -> None:
    case.graphs = {"enable_messaging_system_latency_histogram": True}
    late = {"start_time_unix_nano": otlp.START_NS + 5_000_000}
    told = case.told(
        half("a", PRODUCER, 1, None, **late),
        half("b", CONSUMER, 2, 1),
        half("b", INTERNAL, 3, 2, end_time_unix_nano=otlp.START_NS - 1),
    )
    assert "hint: it starts 0.005 s before its parent: their clocks differ" in told
    assert "no time in transit: it was received before it was sent" in told
    assert "hint: it ends before it starts, so it lasted 0 s" in told


def test_halves_that_end_far_apart_may_not_meet_in_a_worker(case: Case) -> None:
    late = otlp.START_NS + 12_000_000_000
    client, server = half("a", CLIENT, 1), half("b", SERVER, 2, 1, end_time_unix_nano=late)
    _, told = case.graph(client, server)
    [hint] = told["hints"]
    assert hint.startswith("it ended 11.95 s apart from the client's span; ")
    assert hint.endswith("only if their records were written within 10s")
    case.write(GraphRecord([client, server]).value())
    assert case.lines()[1]["hints"] == []
    case.graphs = {"wait": "20s"}
    assert case.graph(client, server)[1]["hints"] == []


def test_spans_that_end_long_before_their_record_may_be_outside_the_slack(case: Case) -> None:
    late = otlp.START_NS + 60_000_000_000
    case.write(
        GraphRecord([half("a", SERVER, 1), half("a", SERVER, 2, end_time_unix_nano=late)]).value()
    )
    early, last = case.lines()
    [hint] = texts(early)
    assert hint.startswith("it ended 59.95 s before the last span of its record; ")
    assert hint.endswith("what ended more than 30s before its record was written")
    assert last["hints"] == []


def test_where_record_times_are_known_the_slack_counts(case: Case) -> None:
    case.place(20, 40)
    early, late = case.lines(half("a", SERVER, 1), half("a", SERVER, 2))
    assert list(early["processors"]) == ["span-metrics", "service-graphs"]
    assert list(late["processors"]) == ["all"]
    assert late["processors"]["all"]["reason"] == "outside_metrics_ingestion_slack"


def test_where_record_times_are_known_halves_wait_no_longer_than_they_would(case: Case) -> None:
    parts = [half("a", CLIENT, 1), half("z", CLIENT, 9), half("b", SERVER, 2, 1)]
    case.place(0, 0, 9)
    assert case.graph(*parts)[2]["edges"]
    case.place(0, 0, 12)
    client, _, server = case.graph(*parts)
    assert (client["reason"], server["reason"]) == ("unpaired_client", "unpaired_server")
    [hint] = server["hints"]
    assert hint.endswith("discarded: unpaired_client; their records were written 12 s apart")


def test_places_of_other_records_are_refused(case: Case) -> None:
    case.place(0)
    with pytest.raises(InputError, match=r"spans.otlp.places: 1 places, but .* has 2 records"):
        case.told(half("a", SERVER, 1), half("a", SERVER, 2))


def test_spans_whose_sender_wants_no_metrics_reach_no_processor(case: Case) -> None:
    case.encoding = "tempo"
    case.write(otlp.push_bytes([GraphRecord([half("a", SERVER, 1)]).value()], skip=True))
    [line] = case.lines()
    assert list(line["processors"]) == ["all"]
    assert line["processors"]["all"]["reason"] == "metrics_generation_skipped"


def test_processors_that_are_off_are_not_told_of(case: Case) -> None:
    case.limits = {"processors": ["span-metrics-count"]}
    [line] = case.lines(half("a", SERVER, 1))
    assert list(line["processors"]) == ["span-metrics"]
    case.limits = {"processors": []}
    assert "no processor is on for this tenant" in case.told(half("a", SERVER, 1))


def test_spans_are_told_as_a_tree_whatever_their_parents_say(case: Case) -> None:
    told = case.told(
        half("child", SERVER, 2, 1),
        half("root", CLIENT, 1),
        half("loop", INTERNAL, 3, 4),
        half("loop", INTERNAL, 4, 3),
    )
    named = re.findall(r"^( *)'op': \w+ of (\w+)", told, re.MULTILINE)
    assert [(len(indent), name) for indent, name in named] == [
        (2, "root"),
        (4, "child"),
        (2, "loop"),
        (4, "loop"),
    ]
    assert "4 spans, 1 edges" not in told
    assert "4 spans, 1 edge\n" in told


def test_one_trace_can_be_asked_for_as_people_write_its_id(case: Case) -> None:
    parts = [half("a", SERVER, 1, None, trace=7), half("a", SERVER, 1, None, trace=0xAB)]
    [line] = case.lines(*parts, trace_id=" AB ")
    assert line["trace_id"] == "000000000000000000000000000000ab"
    with pytest.raises(InputError, match="trace 99: none of the 2 spans is of it"):
        case.lines(*parts, trace_id="99")
    with pytest.raises(InputError, match="trace xyz: expected up to 32 hexadecimal digits"):
        case.lines(*parts, trace_id="xyz")


def test_spans_without_an_edge_are_added_up_by_service_and_cause(case: Case) -> None:
    told = case.told(
        half("a", INTERNAL, 1),
        half("a", SERVER, 2, 1),
        half("a", SERVER, 3, 1),
        half("b", SERVER, 4, 9),
        half("c", CLIENT, 5),
    )
    assert told.partition("spans that made no edge\n")[2].splitlines() == [
        "  service  reason           cause                    spans",
        "  a        unpaired_server  parent is internal           2",
        "  b        unpaired_server  parent not in the input      1",
        "  c        unpaired_client  no child in the input        1",
    ]
    assert "spans that made no edge" not in case.told(half("a", SERVER, 1))


def test_every_reason_that_is_documented_has_words() -> None:
    page = (ROOT / "docs/service-graphs.md").read_text()
    documented = page.partition("## What becomes of a span")[2].partition("\n## ")[0]
    reasons = re.findall(r"^\| `([a-z_0-9]+(?:<kind>)?)` \|", documented, re.MULTILINE)
    processing = settings_by_tenant(load_config(None, environ={})).default.processing
    assert len(reasons) > 8
    for reason in reasons:
        assert words_for(reason.replace("<kind>", "server"), processing)
    assert words_for("fast", processing) == ""
