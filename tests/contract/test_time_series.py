"""Both ways to write series give the same bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.extension import is_native
from consumer.remote_write.time_series import (
    NATIVE,
    NO_ZERO,
    PYTHON,
    V1,
    ExemplarFields,
    Framing,
    Part,
    Samples,
    Series,
    Writer,
    varint,
)

needs_extension = pytest.mark.skipif(not is_native(), reason="the native extension is not built")
TIME_MS = 1_790_000_000_000

Exemplar = tuple[int, int, int, int]
"""Row, bits of the value, time in ms, and a number to make ids of."""


@pytest.fixture(params=[PYTHON, pytest.param(NATIVE, marks=needs_extension)])
def writer(request: pytest.FixtureRequest) -> Writer:
    chosen: Writer = request.param
    return chosen


def part(writer: Writer, codes: list[int], fragments: dict[int, bytes]) -> Part:
    of_codes, column = writer.new_fragments(), np.array(codes, np.uint32)
    missing = of_codes.missing(column)
    of_codes.put(missing, [fragments.get(code, b"") for code in missing.tolist()])
    return of_codes, column


def samples(bits: list[int], zero_ms: list[int], time_ms: int = TIME_MS) -> Samples:
    zeros = np.array(zero_ms, np.int64)
    starts = np.where(zeros == NO_ZERO, 0, zeros) if time_ms == TIME_MS else None
    return Samples(time_ms, np.array(bits, np.uint64), zeros, starts)


def test_a_code_is_asked_for_once(writer: Writer) -> None:
    fragments = writer.new_fragments()
    assert fragments.missing(np.array([5, 2, 5], np.uint32)).tolist() == [5, 2]
    fragments.put(np.array([5], np.uint32), [b"five"])
    assert fragments.missing(np.array([2, 5, 0], np.uint32)).tolist() == [0]
    codes = np.array([5, 2], np.uint32)
    assert writer.write(Series(2, [(fragments, codes)]))[0] == b"\x0a\x04five\x0a\x00"


def test_series_are_labels_then_samples_then_the_rest(writer: Writer) -> None:
    parts = [b"a", part(writer, [1, 0], {1: b"bb"})]
    content, ends = writer.write(
        Series(2, parts, samples([7, 8], [NO_ZERO, 1], time_ms=300), [b"", b"t"])
    )
    one = b"\x0a\x11abb\x12\x0c\x09\x07" + bytes(7) + b"\x10\xac\x02"
    zero = b"\x12\x0b\x09" + bytes(8) + b"\x10\x01"
    two = b"\x0a\x1da" + zero + b"\x12\x0c\x09\x08" + bytes(7) + b"\x10\xac\x02t"
    assert content == one + two
    assert ends.tolist() == [len(one), len(one) + len(two)]


def test_labels_may_be_a_field_and_samples_say_since_when_they_count(writer: Writer) -> None:
    told = Samples(1, np.array([7, 8], np.uint64), start_ms=np.array([0, 200], np.int64))
    framing = Framing(b"\x2a", b"\x0a", b"m")
    content, _ = writer.write(Series(2, [b"ab"], told, framing=framing))
    one = b"\x2a\x12\x0a\x02ab\x12\x0b\x09\x07" + bytes(7) + b"\x10\x01m"
    two = b"\x2a\x15\x0a\x02ab\x12\x0e\x09\x08" + bytes(7) + b"\x10\x01\x18\xc8\x01m"
    assert content == one + two


def test_a_time_before_the_epoch_takes_ten_bytes(writer: Writer) -> None:
    content, _ = writer.write(Series(1, [], samples([0], [NO_ZERO], time_ms=-1)))
    assert content.endswith(b"\x10" + b"\xff" * 9 + b"\x01")


def exemplars(given: list[Exemplar]) -> ExemplarFields:
    row, bits, time_ms, number = map(list, zip(*given, strict=True)) if given else ([], [], [], [])
    ids = np.array(number, np.uint64)
    return ExemplarFields(
        np.array(row, np.intp),
        np.array(bits, np.uint64),
        np.array(time_ms, np.int64),
        [(b"trace", np.column_stack([ids, ~ids])), (b"span", ids[:, np.newaxis])],
    )


def test_exemplars_are_behind_all_else_of_their_series_with_ids_in_hexadecimal(
    writer: Writer,
) -> None:
    given = exemplars([(1, 7, 1, 0xFE), (1, 8, 300, 0)])
    content, ends = writer.write(Series(2, [b"a"], None, [b"", b"t"], given))
    first = b"trace00000000000000feffffffffffffff01span00000000000000fe"
    second = b"trace0000000000000000ffffffffffffffffspan0000000000000000"
    fields = b"\x1a\x44" + first + b"\x11\x07" + bytes(7) + b"\x18\x01"
    fields += b"\x1a\x45" + second + b"\x11\x08" + bytes(7) + b"\x18\xac\x02"
    assert content == b"\x0a\x01a\x0a\x8f\x01at" + fields
    assert ends.tolist() == [3, len(content)]


@needs_extension
@pytest.mark.parametrize("rows", [[1, 0], [0, 2], [-1, 0]])
def test_exemplars_that_belong_to_no_series_or_stand_in_no_order_are_a_mistake(
    rows: list[int],
) -> None:
    given = exemplars([(row, 0, 0, 0) for row in rows])
    with pytest.raises(ValueError, match="order of their series"):
        NATIVE.write(Series(2, [], exemplars=given))


def test_no_series_are_no_bytes(writer: Writer) -> None:
    content, ends = writer.write(Series(0, [b"a"], samples([], [])))
    assert (content, ends.tolist()) == (b"", [])


EXEMPLARS = st.lists(
    st.tuples(
        st.integers(0, 11),
        st.integers(0, 2**64 - 1),
        st.sampled_from([0, TIME_MS, -5, 127, 128]),
        st.integers(0, 2**64 - 1),
    ),
    max_size=12,
)

Row = tuple[int, int, int, bytes]
"""Code of a label, bits of a value, time of a zero sample, and the rest."""

ROWS = st.lists(
    st.tuples(
        st.integers(0, 300),
        st.integers(0, 2**64 - 1),
        st.sampled_from([NO_ZERO, 0, TIME_MS - 1, -5]),
        st.binary(max_size=200),
    ),
    max_size=12,
)


FRAMINGS = st.sampled_from([V1, Framing(b"\x2a", b"\x0a", b"metadata")])


@needs_extension
@given(FRAMINGS, ROWS, EXEMPLARS, st.booleans(), st.booleans())
def test_both_ways_agree_on_random_series(
    framing: Framing, rows: list[Row], told: list[Exemplar], has_samples: bool, has_tails: bool
) -> None:
    fragments = {code: varint(code) * (code % 9) for code in range(301)}
    codes, bits, zero_ms, tails = map(list, zip(*rows, strict=True)) if rows else ([], [], [], [])
    given = exemplars(sorted(each for each in told if each[0] < len(rows)))
    found = []
    for writer in (PYTHON, NATIVE):
        content, ends = writer.write(
            Series(
                len(rows),
                [b"first", part(writer, codes, fragments)],
                samples(bits, zero_ms) if has_samples else None,
                tails if has_tails else None,
                given,
                framing,
            )
        )
        found.append((content, ends.tolist(), ends.dtype))
    assert found[0] == found[1]
