from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from consumer.decode.json_values import (
    MalformedJson,
    enum_reader,
    integer_reader,
    read_base64,
    read_boolean,
    read_double,
    read_hex,
    read_text,
)

read_int64 = integer_reader(-(2**63), 2**63 - 1)
read_uint32 = integer_reader(0, 2**32 - 1)
read_kind = enum_reader({"UNSET": 0, "SERVER": 2})


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (read_text, "caf\u00e9", b"caf\xc3\xa9"),
        (read_hex, "00aBFf", b"\x00\xab\xff"),
        (read_hex, "", b""),
        (read_base64, "-_8=", b"\xfb\xff"),
        (read_base64, "+/8", b"\xfb\xff"),
        (read_base64, "", b""),
        (read_boolean, True, True),
        (read_int64, "-9223372036854775808", -(2**63)),
        (read_int64, 7, 7),
        (read_int64, 7.0, 7),
        (read_double, "NaN", math.nan),
        (read_double, "-Infinity", -math.inf),
        (read_double, "1e3", 1000.0),
        (read_double, 5, 5.0),
        (read_kind, "SERVER", 2),
        (read_kind, 99, 99),
    ],
)
def test_values_are_read(read: Callable[[object], Any], value: object, expected: object) -> None:
    found = read(value)
    assert type(found) is type(expected)
    assert found == expected or (found != found and expected != expected)  # noqa: PLR0124  NaN


@pytest.mark.parametrize(
    ("read", "value", "text"),
    [
        (read_text, 5, "expected a string, found a number"),
        (read_text, ["a"], "expected a string, found an array"),
        (read_hex, "abc", "odd number of hex digits"),
        (read_hex, "zz", "not hex digits"),
        (read_hex, "a b ", "not hex digits"),
        (read_hex, "\u0661\u0661", "not hex digits"),
        (read_hex, 12, "expected a string of hex digits, found a number"),
        (read_base64, "a", "not base64"),
        (read_base64, "a*==", "not base64"),
        (read_base64, None, "expected a string in base64, found null"),
        (read_boolean, 1, "expected true or false, found a number"),
        (read_boolean, "true", "expected true or false, found a string"),
        (read_int64, "9223372036854775808", "not between -9223372036854775808 and"),
        (read_int64, "1_0", "not a whole number"),
        (read_int64, " 1", "not a whole number"),
        (read_int64, "9" * 5000, "not a whole number"),
        (read_int64, 1.5, "not a whole number"),
        (read_int64, True, "expected a whole number, found a boolean"),
        (read_int64, {}, "expected a whole number, found an object"),
        (read_uint32, -1, "not between 0 and 4294967295"),
        (read_double, "nan", "not a number"),
        (read_double, "1e999", "not a number"),
        (read_double, False, "expected a number, found a boolean"),
        (read_kind, "CLIENT", "not one of UNSET, SERVER"),
        (read_kind, 2**31, "not between -2147483648 and 2147483647"),
    ],
)
def test_what_else_there_is_gets_a_clear_word(
    read: Callable[[object], Any], value: object, text: str
) -> None:
    with pytest.raises(MalformedJson) as caught:
        read(value)
    assert str(caught.value).startswith(text)


def test_the_path_grows_from_the_inside_out() -> None:
    error = MalformedJson("odd")
    for step in ("traceId", "[3]", "spans", "[0]", "scopeSpans"):
        error = error.within(step)
    assert str(error) == "scopeSpans[0].spans[3].traceId: odd"
