from collections.abc import Mapping

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from consumer.decode import Encoding, open_decoder
from processors.span_metrics import SpanMetrics, SpanMetricsConfig
from tests.support.otlp import raw_records, record, resource_spans, span

Frame = list[dict[str, str]]


def of_service(**attributes: str) -> ResourceSpans:
    names = {name.replace("_", "."): value for name, value in attributes.items()}
    return resource_spans([span()], resource={"service.name": "svc", **names})


def told(*parts: ResourceSpans) -> list[Frame]:
    """The labels of each gauge of each frame, but for the job."""
    processor = SpanMetrics(SpanMetricsConfig(enable_target_info=True))
    decoder = open_decoder(Encoding.OTLP_PROTO, processor.projection, implementation="python")
    batch = decoder.decode(raw_records([record(*parts)], tenants=("acme",))).batch
    frames = [frame for frame in processor.push(batch).frames if frame.is_info]
    return [
        [
            _without_job(
                dict(
                    zip(frame.schema.label_names, map(frame.strings.__getitem__, row), strict=True)
                )
            )
            for row in frame.labels.tolist()
        ]
        for frame in frames
    ]


def _without_job(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name != "job"}


def test_equal_resources_are_told_once_in_the_order_in_which_they_appear() -> None:
    west, east = of_service(zone="west"), of_service(zone="east")
    assert told(west, east, west) == [[{"zone": "west"}, {"zone": "east"}]]


def test_resources_with_equal_label_names_share_a_frame_whatever_the_order_of_attributes() -> None:
    parts = (
        of_service(zone="a", host="b"),
        of_service(zone="c"),
        of_service(host="d", zone="e"),
        of_service(host="b", zone="a"),
    )
    assert told(*parts) == [
        [{"host": "b", "zone": "a"}, {"host": "d", "zone": "e"}],
        [{"zone": "c"}],
    ]


def test_an_attribute_without_a_value_is_as_one_that_is_not_there() -> None:
    parts = (of_service(zone="a", host=""), of_service(zone="b", host="c"), of_service(zone="a"))
    assert told(*parts) == [[{"zone": "a"}], [{"host": "c", "zone": "b"}]]


def test_of_attributes_with_one_label_name_the_last_one_wins() -> None:
    def twice(first: str, last: str) -> ResourceSpans:
        attributes = {"service.name": "svc", "a.b": first, "a-b": last, "zone": "z"}
        return resource_spans([span()], resource=attributes)

    parts = (twice("1", "2"), twice("3", "2"), twice("1", ""))
    assert told(*parts) == [[{"a_b": "2", "zone": "z"}], [{"zone": "z"}]]


def test_a_resource_with_nothing_but_its_name_is_not_told() -> None:
    assert told(of_service(), of_service(zone="")) == []
