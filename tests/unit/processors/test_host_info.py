from collections import Counter

import pytest

from consumer.config import parse_config
from consumer.decode import Encoding, open_decoder
from consumer.errors import ConfigError
from processors.delta import Output
from processors.host_info import HostInfo, HostInfoConfig
from tests.support.otlp import Attributes, raw_records, record, resource_spans, span


def push(*resources: Attributes, config: HostInfoConfig | None = None) -> Output:
    """Each resource in a record of its own, with two spans."""
    processor = HostInfo(config or HostInfoConfig())
    spans = [span(), span()]
    values = [record(resource_spans(spans, resource=each)) for each in resources]
    decoder = open_decoder(Encoding.OTLP_PROTO, processor.projection, implementation="python")
    return processor.push(decoder.decode(raw_records(values, tenants=("acme",))).batch)


def hosts(output: Output) -> list[tuple[str, str]]:
    return sorted(
        (frame.strings[host], frame.strings[source])
        for frame in output.frames
        for host, source in frame.labels.tolist()
    )


def test_the_first_identifier_that_is_there_names_the_host() -> None:
    output = push({"host.id": "h"}, {"host.id": "h", "k8s.node.name": "n"})
    assert hosts(output) == [("h", "host.id"), ("n", "k8s.node.name")]
    assert output.used == Counter(acme=4)


def test_values_that_are_no_text_or_empty_name_nothing() -> None:
    output = push({"k8s.node.name": "", "host.id": "h"}, {"host.id": 5}, {"host.id": ["h"]}, {})
    assert hosts(output) == [("h", "host.id")]
    assert output.discarded == Counter({("acme", "no_host_identifier"): 6})


def test_a_host_is_told_once_whatever_number_of_resources_name_it() -> None:
    assert hosts(push({"host.id": "h", "a": 1}, {"host.id": "h", "a": 2})) == [("h", "host.id")]


def test_a_host_that_is_not_utf_8_is_left_out() -> None:
    processor = HostInfo(HostInfoConfig())
    value = record(resource_spans([span()], resource={"host.id": "WILD"}))
    decoder = open_decoder(Encoding.OTLP_PROTO, processor.projection, implementation="python")
    wild = raw_records([value.replace(b"WILD", b"\xff\xfe\xfd\xfc")])
    output = processor.push(decoder.decode(wild).batch)
    assert not output.frames
    assert output.discarded == Counter({("single-tenant", "invalid_utf8"): 1})


def test_identifiers_and_the_name_can_be_chosen() -> None:
    config = HostInfoConfig(host_identifiers=("my.host",), metric_name="hosts")
    output = push({"host.id": "h", "my.host": "m"}, config=config)
    assert hosts(output) == [("m", "my.host")]
    [frame] = output.frames
    assert frame.is_info
    assert [family.name for family in frame.schema.families] == ["hosts"]


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("{host_identifiers: []}", "host_identifiers: found an empty list, expected at least 1"),
        ("{host_identifiers: [a, '']}", "host_identifiers[1]: found '', expected text that is not"),
        ("{metric_name: 1a}", "metric_name: found '1a', expected a metric name"),
    ],
)
def test_what_cannot_work_is_refused(block: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"metrics_generator: {{processor: {{host_info: {block}}}}}", environ={})
    assert str(caught.value).startswith(f"metrics_generator.processor.host_info.{problem}")
