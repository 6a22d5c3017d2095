from __future__ import annotations

import pytest

from consumer.decode.value_text import double_text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (3.0, "3"),
        (-12.5, "-12.5"),
        (0.1, "0.1"),
        (1e16, "10000000000000000"),
        (1.25e19, "12500000000000000000"),
        (1e-7, "0.0000001"),
        (1.5e-7, "0.00000015"),
        (2.5 + 2**-17, "2.5000076293945312"),
        (1e300, "1" + "0" * 300),
        (5e-324, "0." + "0" * 323 + "5"),
        (float("nan"), "NaN"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
    ],
)
def test_doubles_read_as_go_prints_them_without_exponent(number: float, text: str) -> None:
    assert double_text(number) == text.encode()
