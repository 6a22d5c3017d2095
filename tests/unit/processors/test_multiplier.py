import pytest

from consumer.decode import Encoding, open_decoder
from processors.multiplier import Multiplier, adjusted_count
from tests.support.otlp import Attributes, raw_records, record, resource_spans, span

RANDOM_LOW, RANDOM_HIGH = "0" * 14, "f" * 14


def weight(
    attribute: object = None,
    *,
    resource: Attributes = (),
    state: str = "",
    from_trace_state: bool = False,
) -> float:
    """The weight of one span."""
    multiplier = Multiplier("ratio", from_trace_state=from_trace_state)
    made = span(attrs={} if attribute is None else {"ratio": attribute}, trace_state=state)
    value = record(resource_spans([made], resource=resource))
    decoder = open_decoder(Encoding.OTLP_PROTO, multiplier.projection, implementation="python")
    return float(multiplier.of(decoder.decode(raw_records([value])).batch)[0])


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.25, 4.0),
        (0.3, 1 / 0.3),
        (2.0, 0.5),
        (4, 0.25),
        (0.0, 1.0),
        (0, 1.0),
        (-0.5, 1.0),
        (float("nan"), 1.0),
        (float("inf"), 1.0),
        (5e-324, 1.0),
        ("0.5", 1.0),
        (True, 1.0),
        (None, 1.0),
    ],
)
def test_a_span_counts_once_for_each_it_stands_for(ratio: object, expected: float) -> None:
    assert weight(ratio) == expected


def test_the_span_s_ratio_wins_over_the_resource_s_if_it_is_one() -> None:
    assert weight(0.5, resource={"ratio": 0.1}) == 2.0
    assert weight("x", resource={"ratio": 0.1}) == 10.0
    assert weight(resource={"ratio": 0.1}) == 10.0


def test_the_trace_state_wins_over_the_attribute_where_it_tells_a_weight() -> None:
    assert weight(0.1, state="ot=th:8", from_trace_state=True) == 2.0
    assert weight(0.1, state="ot=th:8") == 10.0
    assert weight(0.1, state="ot=x:y", from_trace_state=True) == 10.0
    assert weight(state="", from_trace_state=True) == 1.0


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("ot=th:0", 1.0),
        ("ot=th:8", 2.0),
        ("ot=th:c", 4.0),
        ("a=b, ot=p:8;th:c ,c=d", 4.0),
        ("ot=th:8,ot=th:c", 2.0),
        ("ot=th:ffffffffffffff", 2.0**56),
        ("", 0.0),
        ("ot=", 0.0),
        ("ot=th:", 0.0),
        ("ot=th:8G", 0.0),
        ("ot=th:C", 0.0),
        ("ot=th:123456789abcdef", 0.0),
        ("OT=th:8", 0.0),
        ("rot=th:8", 0.0),
        ("th:8", 0.0),
        ("ot=rv:1;th:8", 0.0),
        (f"ot=rv:{RANDOM_LOW};th:8", 2.0),
    ],
)
def test_the_adjusted_count_of_a_trace_state(state: str, expected: float) -> None:
    assert adjusted_count(state) == expected


def test_a_fractional_count_is_drawn_by_the_random_value() -> None:
    assert adjusted_count("ot=th:4") == 4 / 3
    assert adjusted_count(f"ot=th:4;rv:{RANDOM_LOW}") == 2.0
    assert adjusted_count(f"ot=th:4;rv:{RANDOM_HIGH}") == 1.0
