"""Scalars of OTLP/JSON: each reader takes a parsed JSON value and gives what protobuf holds.

Rules: the ProtoJSON mapping, except that trace and span ids are hex and that enums may be
numbers (OTLP specification, "JSON Protobuf Encoding"). Every reader raises
:class:`MalformedJson` for a value that it cannot take.
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Callable, Mapping

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_URL_SAFE = str.maketrans("-_", "+/")


class MalformedJson(Exception):  # noqa: N818  the reason it stands for is malformed_json
    """A value is not what OTLP/JSON has there; ``path`` leads to it, grown while unwinding."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.path = ""

    def within(self, step: str) -> MalformedJson:
        """Put ``step``, a key or an index in brackets, before the path."""
        dot = "" if not self.path or self.path.startswith("[") else "."
        self.path = f"{step}{dot}{self.path}"
        return self

    def __str__(self) -> str:
        text = super().__str__()
        return f"{self.path}: {text}" if self.path else text


def found(value: object) -> str:
    """What ``value`` is, in JSON's words."""
    names: dict[type, str] = {dict: "an object", list: "an array", str: "a string"}
    names |= {bool: "a boolean", int: "a number", float: "a number", type(None): "null"}
    return names[type(value)]


def read_text(value: object) -> bytes:
    """A string, in UTF-8."""
    if not isinstance(value, str):
        raise MalformedJson(f"expected a string, found {found(value)}")
    return value.encode()


def read_hex(value: object) -> bytes:
    """An id: hex digits of either case."""
    if not isinstance(value, str):
        raise MalformedJson(f"expected a string of hex digits, found {found(value)}")
    if len(value) % 2:
        raise MalformedJson("odd number of hex digits")
    try:
        return binascii.unhexlify(value)
    except ValueError:
        raise MalformedJson("not hex digits") from None


def read_base64(value: object) -> bytes:
    """Bytes: base64 of either alphabet, padded or not."""
    if not isinstance(value, str):
        raise MalformedJson(f"expected a string in base64, found {found(value)}")
    digits = value.translate(_URL_SAFE).rstrip("=")
    try:
        return binascii.a2b_base64(digits + "=" * (-len(digits) % 4), strict_mode=True)
    except ValueError:
        raise MalformedJson("not base64") from None


def read_boolean(value: object) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise MalformedJson(f"expected true or false, found {found(value)}")
    return value


def read_double(value: object) -> float:
    """A number, or one in a string; ``NaN``, ``Infinity`` and ``-Infinity`` in a string."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        raise MalformedJson(f"expected a number, found {found(value)}")
    if value in _SPECIAL:
        return _SPECIAL[value]
    if not _NUMBER.fullmatch(value) or math.isinf(float(value)):
        raise MalformedJson("not a number")
    return float(value)


def integer_reader(low: int, high: int) -> Callable[[object], int]:
    """Reader of whole numbers ``low <= number <= high``, also in strings."""

    def read_integer(value: object) -> int:
        if isinstance(value, str):
            if not _INTEGER.fullmatch(value):
                raise MalformedJson("not a whole number")
            number = int(value)
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise MalformedJson(f"expected a whole number, found {found(value)}")
        elif isinstance(value, float) and not value.is_integer():
            raise MalformedJson("not a whole number")
        else:
            number = int(value)
        if not low <= number <= high:
            raise MalformedJson(f"not between {low} and {high}")
        return number

    return read_integer


def enum_reader(numbers: Mapping[str, int]) -> Callable[[object], int]:
    """Reader of an open enum: one of the names in ``numbers``, or any int32."""
    read_number = integer_reader(-(2**31), 2**31 - 1)

    def read_enum(value: object) -> int:
        if not isinstance(value, str):
            return read_number(value)
        if value not in numbers:
            raise MalformedJson(f"not one of {', '.join(numbers)}")
        return numbers[value]

    return read_enum
