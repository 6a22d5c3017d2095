from __future__ import annotations

import pytest

from consumer.decode import ids


def test_ids_of_the_right_length_are_big_endian_numbers() -> None:
    assert ids.span_ids([b"\0\0\0\0\0\0\1\2", b"\xff" * 8]).tolist() == [258, 2**64 - 1]
    assert ids.trace_ids([bytes(range(16))]).tolist() == [[0x0001020304050607, 0x08090A0B0C0D0E0F]]


@pytest.mark.parametrize(
    ("text", "hashed"),
    [(b"", 0xCBF29CE484222325), (b"a", 0xAF63DC4C8601EC8C), (b"foobar", 0x85944171F73967E8)],
)
def test_the_digest_is_fnv_1a(text: bytes, hashed: int) -> None:
    assert ids.digest(text, ids.HIGH_BASIS) == hashed


def test_odd_ids_stay_apart_from_each_other_and_among_good_ones() -> None:
    odd = [b"", b"\0", b"a", b"b", b"\0" * 7, b"\0" * 9, b"\0" * 8]
    numbers = ids.span_ids(odd).tolist()
    assert len(set(numbers)) == len(odd)
    assert numbers[-1] == 0
    halves = ids.trace_ids(odd)
    assert len(set(halves[:, 0].tolist()) | set(halves[:, 1].tolist())) == 2 * len(odd)


def test_no_ids_make_no_rows() -> None:
    assert ids.span_ids([]).shape == (0,)
    assert ids.trace_ids([]).shape == (0, 2)
