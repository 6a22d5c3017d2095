from typing import Any

import pytest
from pydantic import ValidationError

from consumer.decode import Encoding, open_decoder
from processors.filters import Filter, FilterPolicy
from tests.support.otlp import raw_records, record, resource_spans, span


def block(match_type: str = "strict", **attributes: Any) -> dict[str, Any]:
    """Attributes with ``__`` for each dot: ``span__x`` is the key ``span.x``."""
    pairs = [{"key": key.replace("__", "."), "value": attributes[key]} for key in attributes]
    return {"match_type": match_type, "attributes": tuple(pairs)}


def accepts(*policies: dict[str, Any], **fields: Any) -> bool:
    """Whether a server span passes; ``resource`` are attributes of its resource."""
    resource = fields.pop("resource", {})
    made = Filter([FilterPolicy.model_validate(policy) for policy in policies])
    value = record(resource_spans([span(**fields)], resource=resource))
    decoder = open_decoder(Encoding.OTLP_PROTO, made.projection, implementation="python")
    [accepted] = made.accepts(decoder.decode(raw_records([value])).batch).tolist()
    return bool(accepted)


YES, NO = block(name="op"), block(name="other")


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ([], True),
        ([{"include": YES}], True),
        ([{"include": NO}], False),
        ([{"include": YES}, {"include": NO}], False),
        ([{"exclude": YES}], False),
        ([{"exclude": NO}], True),
        ([{"exclude": NO}, {"exclude": YES}], False),
        ([{"include_any": YES}], True),
        ([{"include_any": NO}], False),
        ([{"include_any": NO}, {"include_any": YES}], True),
        ([{"include_any": YES, "include": NO}], True),
        ([{"include_any": NO, "include": YES}], True),
        ([{"include_any": NO, "include": NO}], False),
        ([{"include": YES, "exclude": YES}], False),
        ([{"include_any": YES}, {"exclude": YES}], False),
    ],
)
def test_excludes_decide_before_any_before_all(
    policies: list[dict[str, Any]], expected: bool
) -> None:
    assert accepts(*policies) is expected


def test_a_block_matches_when_all_its_attributes_do() -> None:
    both = {"include": block(span__a="x", resource__b="y")}
    assert accepts(both, attrs={"a": "x"}, resource={"b": "y"})
    assert not accepts(both, attrs={"a": "x"}, resource={"b": "z"})
    assert not accepts(both, attrs={"a": "x", "b": "y"})


@pytest.mark.parametrize(
    ("value", "attribute", "expected"),
    [
        ("x", "x", True),
        ("x", "X", False),
        ("5", 5, False),
        (5, 5, True),
        (5, 5.0, False),
        (5, "5", False),
        (2.5, 2.5, True),
        (True, True, True),
        (True, "true", False),
        (True, 1, False),
        (0, "text", True),
        (0.0, "text", True),
        (False, "text", True),
        ("", 5, True),
        ("", ["a"], True),
    ],
)
def test_strict_compares_types_and_takes_another_type_as_its_zero(
    value: object, attribute: object, expected: bool
) -> None:
    assert accepts({"include": block(span__a=value)}, attrs={"a": attribute}) is expected


@pytest.mark.parametrize("value", ["", 0, 0.0, False, "x"])
def test_an_attribute_that_is_not_there_matches_nothing(value: object) -> None:
    assert not accepts({"include": block(span__a=value)})
    assert not accepts({"include": block(resource__a=value)}, attrs={"a": value})


def test_a_regex_is_searched_anywhere_and_sees_nothing_in_values_that_are_no_text() -> None:
    assert accepts({"include": block("regex", span__a="b+")}, attrs={"a": "abc"})
    assert not accepts({"include": block("regex", span__a="^b+$")}, attrs={"a": "abc"})
    assert accepts({"include": block("regex", span__a="^$")}, attrs={"a": 5})
    assert not accepts({"include": block("regex", span__a="5")}, attrs={"a": 5})


def test_kind_and_status_have_their_full_names() -> None:
    assert accepts({"include": block(kind="SPAN_KIND_SERVER", status="STATUS_CODE_UNSET")})
    assert accepts({"include": block(status="STATUS_CODE_ERROR")}, status=2)
    assert accepts({"include": block("regex", kind="(CLIENT|SERVER)$")})
    assert not accepts({"include": block("regex", kind="^SERVER")})


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"include": {"match_type": "strict", "attributes": ()}},
        {"include": {"match_type": "like", "attributes": ({"key": "name", "value": "x"},)}},
        {"include": block(kind="SERVER")},
        {"include": block(status="ERROR")},
        {"include": block(name=5)},
        {"include": block("regex", span__a=5)},
        {"include": block("regex", span__a="(")},
        {"include": block("regex", span__a=r"(a)\1")},
        {"include": block(a="x")},
        {"include": block(**{".a": "x"})},
        {"include": block(**{"event.a": "x"})},
        {"include": block(**{"span.": "x"})},
        {"include": block(span__a=["x"])},
        {"include": block(span__a=None)},
    ],
)
def test_what_cannot_work_is_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FilterPolicy.model_validate(policy)
