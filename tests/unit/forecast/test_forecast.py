"""A forecast tells the numbers that the changed configurations really give."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from consumer.config import Config
from consumer.config.load import load_config
from consumer.decode import Encoding
from consumer.files.otlp_files import Place, as_places, places_file
from consumer.files.preview import run_preview
from consumer.forecast import run_forecast
from consumer.forecast.keys import attribute_keys
from tests.support import otlp
from tests.support.graphs import CLIENT, SERVER, half

SPAN_METRICS, GRAPHS = "span-metrics", "service-graphs"
PARTS = [
    part
    for number in range(12)
    for part in (
        half(
            "shop",
            CLIENT,
            2 * number + 1,
            name=f"GET /cart/{number % 3}",
            attrs={"zone": "ab"[number % 2], "call.id": str(number)},
            resource={"os": "linux"},
        ),
        half("stock", SERVER, 2 * number + 2, 2 * number + 1, name=f"op{number % 4}"),
    )
]


class Input:
    """A folder with a file of :data:`PARTS`, and configurations for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "spans.otlp"
        values = [otlp.record(part) for part in PARTS]
        self.file.write_bytes(b"".join(len(v).to_bytes(4, "big") + v for v in values))

    def config(self, limits: Mapping[str, Any] | None = None, **processor: Any) -> Config:
        path = self._folder / "spanmill.yaml"
        document = {
            "metrics_generator": {"processor": processor},
            "overrides": {"defaults": {"metrics_generator": limits or {}}},
        }
        path.write_text(json.dumps(document))
        return load_config(path, environ={})

    def forecast(self, limits: Mapping[str, Any] | None = None, **processor: Any) -> Any:
        output = io.StringIO()
        config = self.config(limits, **processor)
        run_forecast(config, [self.file], as_json=True, output=output)
        return json.loads(output.getvalue())

    def tables(self, limits: Mapping[str, Any] | None = None, top: int = 15) -> str:
        output = io.StringIO()
        run_forecast(self.config(limits), [self.file], top=top, output=output)
        return output.getvalue()

    def series(self, limits: Mapping[str, Any] | None = None, **processor: Any) -> int:
        """How many there really are, but for those of overflow."""
        output = io.StringIO()
        run_preview(self.config(limits, **processor), [self.file], output=output)
        lines = [json.loads(line) for line in output.getvalue().splitlines()]
        return sum("metric_overflow" not in line["labels"] for line in lines)


@pytest.fixture
def spans(tmp_path: Path) -> Input:
    return Input(tmp_path)


def test_the_series_are_those_of_a_preview(spans: Input) -> None:
    told = spans.forecast()
    assert told["series"] == spans.series()
    assert told["spans"] == len(PARTS)
    assert sum(table["series"] for table in told["tables"]) == told["series"]
    metrics = [metric for table in told["tables"] for metric in table["metrics"]]
    assert sum(metric["series"] for metric in metrics) == told["series"]
    assert sum(told["series_by_processor"].values()) == told["series"]


def test_a_label_less_makes_as_many_series_as_were_told(spans: Input) -> None:
    told = spans.forecast(limits={"processors": [SPAN_METRICS]})
    [table] = told["tables"]
    labels = {label["name"]: label for label in table["labels"]}
    assert labels["span_name"]["values"] == 7
    assert labels["service"]["values"] == 2
    for name in ("span_name", "service", "span_kind"):
        without = {"intrinsic_dimensions": {name: False}}
        really = spans.series({"processors": [SPAN_METRICS]}, span_metrics=without)
        assert labels[name]["series_without"] == really, name
    assert table["labels"][0]["name"] == "span_name"


@pytest.mark.parametrize("attribute", ["zone", "call.id", "os"])
def test_a_dimension_more_makes_as_many_series_as_were_told(spans: Input, attribute: str) -> None:
    told = {cost["attribute"]: cost for cost in spans.forecast()["dimensions"]}[attribute]
    more = {"dimensions": [attribute]}
    assert told["series_by_processor"] == {
        SPAN_METRICS: spans.series({"processors": [SPAN_METRICS]}, span_metrics=more),
        GRAPHS: spans.series({"processors": [GRAPHS]}, service_graphs=more),
    }
    assert told["spans"] == 12
    assert told["values"] == {"zone": 2, "call.id": 12, "os": 1}[attribute]


def test_what_is_a_dimension_already_is_no_candidate(spans: Input) -> None:
    told = spans.forecast(
        span_metrics={"dimensions": ["zone", "os"]}, service_graphs={"dimensions": ["zone"]}
    )
    costs = {cost["attribute"]: cost["series_by_processor"] for cost in told["dimensions"]}
    assert {name: list(series) for name, series in costs.items()} == {
        "call.id": [SPAN_METRICS, GRAPHS],
        "os": [GRAPHS],
    }


def test_names_without_ids_are_tried_where_they_matter(spans: Input) -> None:
    told = spans.forecast()
    assert told["series_with_sanitized_names"] == spans.series(
        {"span_name_sanitization": "enabled"}
    )
    assert told["series_with_sanitized_names"] < told["series"]
    for limits in ({"span_name_sanitization": "enabled"}, {"processors": [GRAPHS]}):
        assert spans.forecast(limits)["series_with_sanitized_names"] is None


def test_native_histograms_are_tried_where_there_are_classic_ones(spans: Input) -> None:
    native = {"generate_native_histograms": "native"}
    assert spans.forecast()["series_with_native_histograms"] == spans.series(native)
    assert spans.forecast(native)["series_with_native_histograms"] is None
    both = spans.tables({"generate_native_histograms": "both"})
    assert "  traces_spanmetrics_latency (native) " in both
    assert "  traces_spanmetrics_latency  " in both


def test_limits_keep_what_they_keep_in_a_preview(spans: Input) -> None:
    limits = {"max_active_series": 40, "max_cardinality_per_label": 3}
    told = spans.forecast(limits)
    assert told["series"] == spans.series()
    assert told["limits"]["series_kept"] == spans.series(limits) <= 40
    assert told["limits"]["labels_with_too_many_values"] == {"span_name": 7}
    assert "max_active_series 40 keeps" in spans.tables(limits)
    assert "too many values of span_name (7); replaced, there would be" in spans.tables(limits)


def test_values_that_are_replaced_leave_as_many_series_as_one_value_makes(spans: Input) -> None:
    told = spans.forecast({"max_cardinality_per_label": 3})
    without_names = {"intrinsic_dimensions": {"span_name": False}}
    assert told["limits"]["series_with_their_values_replaced"] == spans.series(
        span_metrics=without_names
    )
    told = spans.forecast({"max_cardinality_per_label": 7})
    assert told["limits"]["series_with_their_values_replaced"] == told["series"]
    assert "no label has more values" in spans.tables({"max_cardinality_per_label": 7})


def test_record_times_count_where_they_are_known(spans: Input) -> None:
    untimed = spans.series()
    start_ms = otlp.START_NS // 1_000_000
    places = [Place(start_ms + 40_000 * (number > 1), 0, number) for number in range(len(PARTS))]
    places_file(spans.file).write_bytes(as_places(places))
    told = spans.forecast()
    assert told["series"] == spans.series() < untimed


def test_the_first_half_tells_whether_the_input_is_enough(spans: Input) -> None:
    told = spans.forecast()
    assert 0 < told["series_of_first_half"] <= told["series"]
    assert "the first half of the spans makes 100%" in spans.tables()


def test_tables_show_the_dearest_attributes_first(spans: Input) -> None:
    told = spans.tables(top=1)
    below = told.partition("one more dimension\n")[2].splitlines()
    assert [line.split()[0] for line in below[:3]] == ["attribute", "(none)", "call.id"]
    assert "2 more attributes" in told


def test_without_processors_there_is_nothing_to_count(spans: Input) -> None:
    told = spans.tables({"processors": []})
    assert "0 series of 24 spans" in told
    assert "nothing is counted" in told


def test_attributes_are_found_in_every_encoding() -> None:
    value = otlp.record(*PARTS[:2])
    expected = {"service.name": 2, "os": 1, "zone": 1, "call.id": 1}
    shop = resource_json({"service.name": "shop", "os": "linux"}, {"zone": "a", "call.id": "0"})
    as_json = json.dumps({"resourceSpans": [shop, resource_json({"service.name": "b"}, {})]})
    broken = b"\xff"
    for encoding, values in (
        (Encoding.OTLP_PROTO, [value, broken]),
        (Encoding.OTLP_JSON, [as_json.encode(), broken]),
        (Encoding.TEMPO, [otlp.push_bytes([value]), broken]),
    ):
        assert attribute_keys(values, encoding) == expected, encoding


def test_keys_that_are_no_text_are_no_attributes() -> None:
    part = half("a", SERVER, 1, attrs={"keykey": "x", "": "y", "zone": "z"})
    value = otlp.record(part).replace(b"keykey", b"\xff\xfe" * 3)
    assert attribute_keys([value], Encoding.OTLP_PROTO) == {"service.name": 1, "zone": 1}


def resource_json(resource: Mapping[str, str], span: Mapping[str, str]) -> Mapping[str, Any]:
    """A `ResourceSpans` of one span in OTLP/JSON."""

    def attributes(texts: Mapping[str, str]) -> list[Mapping[str, Any]]:
        return [{"key": key, "value": {"stringValue": text}} for key, text in texts.items()]

    spans = [{"name": "op", "attributes": attributes(span)}]
    return {
        "resource": {"attributes": attributes(resource)},
        "scopeSpans": [{"spans": spans}],
    }
