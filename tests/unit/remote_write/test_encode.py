from __future__ import annotations

import math
import struct
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import snappy
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.remote_write.encode import encode
from consumer.remote_write.request import EncodedRequest, Limits
from consumer.remote_write.series import MetricType, SeriesBlock
from tests.support.remote_write_receiver import Labels, check_labels, is_stale, parse
from tests.unit.remote_write.fakes import block

TIME_MS = 1_790_000_000_123
WIDE = Limits(samples=2000, size_bytes=1 << 20)

Series = list[tuple[Labels, list[tuple[int, float]]]]


def requests(
    *blocks: SeriesBlock, limits: Limits = WIDE, drops: Counter[str] | None = None
) -> list[EncodedRequest]:
    found = Counter[str]() if drops is None else drops

    def dropped(reason: str, samples: int) -> None:
        found[reason] += samples

    return list(encode(blocks, TIME_MS, limits, dropped))


def series(
    *blocks: SeriesBlock, limits: Limits = WIDE, drops: Counter[str] | None = None
) -> Series:
    return [
        found
        for request in requests(*blocks, limits=limits, drops=drops)
        for found in parse(request.body)
    ]


def test_labels_are_sorted_bytewise_with_the_name_and_the_constant_labels_among_them() -> None:
    found = series(
        block(
            [["1", "2", "3"]],
            label_names=("zone", "A", "m"),
            constant=(("le", "0.5"), ("__metrics_gen_instance", "pod-1")),
        )
    )
    assert [labels for labels, _ in found] == [
        (
            ("A", "2"),
            ("__metrics_gen_instance", "pod-1"),
            ("__name__", "calls_total"),
            ("le", "0.5"),
            ("m", "3"),
            ("zone", "1"),
        )
    ]


def test_an_empty_value_leaves_its_label_out() -> None:
    found = series(block([["", "x"], ["", ""]], label_names=("a", "b"), constant=(("c", ""),)))
    assert [labels for labels, _ in found] == [
        (("__name__", "calls_total"), ("b", "x")),
        (("__name__", "calls_total"),),
    ]


def test_blocks_of_the_same_label_sets_keep_what_tells_them_apart() -> None:
    first = block([["1", "2"]], label_names=("a", "b"))
    hidden = replace(first, constant_labels=(("a", "c"),))
    renamed = replace(first, label_names=("b", "a"))
    of_others = replace(first, strings=[text + "!" for text in first.strings])
    found = series(first, hidden, first, renamed, of_others)
    assert [labels[1:] for labels, _ in found] == [
        (("a", "1"), ("b", "2")),
        (("a", "c"), ("b", "2")),
        (("a", "1"), ("b", "2")),
        (("a", "2"), ("b", "1")),
        (("a", "1!"), ("b", "2!")),
    ]


def test_constant_labels_win_over_columns_even_when_empty() -> None:
    found = series(
        block(
            [["1", "2", "x"]], label_names=("a", "b", "__name__"), constant=(("a", "c"), ("b", ""))
        )
    )
    assert [labels for labels, _ in found] == [(("__name__", "calls_total"), ("a", "c"))]


def test_a_block_without_labels_is_one_series_of_its_name() -> None:
    assert series(block([[]], [3.5], label_names=())) == [
        ((("__name__", "calls_total"),), [(TIME_MS, 3.5)])
    ]


def test_an_empty_tick_makes_no_request() -> None:
    assert requests() == []
    assert requests(block([])) == []


@pytest.mark.parametrize("kind", [MetricType.COUNTER, MetricType.HISTOGRAM])
def test_a_newborn_cumulative_series_starts_with_a_zero(kind: MetricType) -> None:
    found = series(block([["a"], ["b"]], [7, 8], kind=kind, newborn=[1], start_ms=TIME_MS - 1))
    assert [samples for _, samples in found] == [
        [(TIME_MS, 7.0)],
        [(TIME_MS - 1, 0.0), (TIME_MS, 8.0)],
    ]


def test_a_newborn_gauge_has_no_zero() -> None:
    found = series(block([["a"]], [7], kind=MetricType.GAUGE, newborn=[0], start_ms=5))
    assert [samples for _, samples in found] == [[(TIME_MS, 7.0)]]


def test_a_zero_is_never_at_or_after_the_first_sample() -> None:
    found = series(block([["a"]], [7], newborn=[0], start_ms=TIME_MS))
    assert [samples for _, samples in found] == [[(TIME_MS, 7.0)]]


def test_an_ended_series_gets_the_stale_marker_bit_by_bit() -> None:
    ((_, [(time_ms, value)]),) = series(block([["a"]], [7], ended=[0]))
    assert time_ms == TIME_MS
    assert is_stale(value)


def test_no_other_value_looks_like_the_stale_marker() -> None:
    (marker,) = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))
    ((_, [(_, value)]),) = series(block([["a"]], [marker]))
    assert math.isnan(value)
    assert not is_stale(value)


def test_special_floats_arrive_as_they_are() -> None:
    values = [0.0, -0.0, -1.5, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 2**53 + 0.0]
    found = series(block([[str(row)] for row in range(len(values))], values))
    assert [struct.pack("<d", samples[0][1]) for _, samples in found] == [
        struct.pack("<d", value) for value in values
    ]


def test_a_text_that_is_not_unicode_drops_only_its_series() -> None:
    drops = Counter[str]()
    found = series(
        block([["good"], ["bad\ud800"], ["fine"]], [1, 2, 3], newborn=[1], start_ms=1), drops=drops
    )
    assert [samples for _, samples in found] == [[(TIME_MS, 1.0)], [(TIME_MS, 3.0)]]
    assert drops == {"invalid_utf8": 2}


def test_a_constant_text_that_is_not_unicode_drops_only_its_block() -> None:
    drops = Counter[str]()
    found = series(block([["a"], ["b"]], constant=(("c", "\udfff"),)), block([["a"]]), drops=drops)
    assert len(found) == 1
    assert drops == {"invalid_utf8": 2}


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a:b", "ä", "a\n", "\ud800"])
def test_an_invalid_label_name_drops_the_series_that_have_it(name: str) -> None:
    drops = Counter[str]()
    found = series(block([["x", "1"], ["", "2"]], label_names=(name, "ok")), drops=drops)
    assert [dict(labels)["ok"] for labels, _ in found] == ["2"]
    assert drops == {"invalid_label_name": 1}


@pytest.mark.parametrize("name", ["", "1a", "a-b", "ä", "a\n"])
def test_an_invalid_metric_name_drops_its_block(name: str) -> None:
    drops = Counter[str]()
    assert len(series(block([["x"]], name=name), block([["x"]]), drops=drops)) == 1
    assert drops == {"invalid_label_name": 1}


def test_an_invalid_constant_label_name_drops_its_block() -> None:
    drops = Counter[str]()
    assert series(block([["x"]], constant=(("a-b", "c"),)), drops=drops) == []
    assert drops == {"invalid_label_name": 1}


def test_a_label_name_given_twice_drops_its_block() -> None:
    drops = Counter[str]()
    assert series(block([["x", "y"]], label_names=("a", "a")), drops=drops) == []
    assert drops == {"duplicate_label_name": 1}


def test_colons_in_metric_names_are_valid() -> None:
    assert series(block([["x"]], name="job:calls:rate5m"))


def test_long_and_foreign_texts_arrive_as_they_are() -> None:
    texts = ["x" * 10_240, "日本語 🚀 \x00 \n\"'", "é" * 70]
    found = series(block([[text] for text in texts]))
    assert [dict(labels)["service"] for labels, _ in found] == texts


def test_requests_hold_no_more_samples_than_allowed_zeros_included() -> None:
    rows = [[str(row)] for row in range(10)]
    found = requests(
        block(rows, newborn=range(4), start_ms=1), block(rows), limits=Limits(3, 1 << 20)
    )
    assert [request.samples for request in found] == [2, 2, 2, 3, 3, 3, 3, 3, 3]
    assert sum(request.series for request in found) == 20
    assert [sum(len(samples) for _, samples in parse(request.body)) for request in found] == [
        request.samples for request in found
    ]


def test_requests_are_no_larger_than_allowed() -> None:
    rows = [[f"{row:050}"] for row in range(100)]
    one = len_uncompressed(requests(block(rows[:1]))[0])
    found = requests(block(rows), limits=Limits(2000, 10 * one))
    assert [request.series for request in found] == [10] * 10
    assert all(len_uncompressed(request) <= 10 * one for request in found)


def test_a_series_larger_than_a_request_goes_alone() -> None:
    found = requests(block([["a"], ["x" * 5000], ["b"]]), limits=Limits(2000, 1000))
    assert [request.series for request in found] == [1, 1, 1]


def test_encoding_is_lazy() -> None:
    limits = Limits(1, 1 << 20)
    stream = encode([block([["a"], ["b"]])], TIME_MS, limits, lambda *_: None)
    assert next(stream).series == 1


def len_uncompressed(request: EncodedRequest) -> int:
    return len(snappy.decompress(request.body))


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name != "__name__"
)


@st.composite
def blocks(draw: st.DrawFn) -> SeriesBlock:
    names = draw(st.lists(NAMES, max_size=4, unique=True))
    rows = draw(st.lists(st.lists(TEXTS, min_size=len(names), max_size=len(names)), max_size=12))
    numbers = st.lists(st.integers(0, max(0, len(rows) - 1)))
    return block(
        rows,
        draw(st.lists(st.floats(allow_nan=False), min_size=len(rows), max_size=len(rows))),
        name=draw(st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True)),
        kind=draw(st.sampled_from(MetricType)),
        label_names=names,
        constant=draw(
            st.lists(st.tuples(NAMES, TEXTS), max_size=3, unique_by=lambda pair: pair[0])
        ),
        newborn=draw(numbers),
        ended=draw(numbers),
        start_ms=draw(st.sampled_from([-5, 0, TIME_MS - 1, TIME_MS, TIME_MS + 1])),
    )


def expected(of: SeriesBlock) -> Series:
    """What a block says, one series at a time, the slow and obvious way."""
    found: Series = []
    for row in range(len(of)):
        labels = {
            name: of.strings[code]
            for name, code in zip(of.label_names, of.labels[row].tolist(), strict=True)
        }
        labels |= dict(of.constant_labels) | {"__name__": of.name}
        samples = [(TIME_MS, float(of.values[row]))]
        start_ms = int(of.start_ms[row])
        if of.type is not MetricType.GAUGE and of.newborn[row] and start_ms < TIME_MS:
            samples.insert(0, (start_ms, 0.0))
        found.append((tuple(sorted(pair for pair in labels.items() if pair[1])), samples))
    return found


@settings(max_examples=150, deadline=None)
@given(
    st.lists(blocks(), max_size=4),
    st.integers(1, 9),
    st.integers(1, 2000),
)
def test_what_is_encoded_is_decoded_again_whatever_the_split(
    given_blocks: list[SeriesBlock], samples: int, size_bytes: int
) -> None:
    found = requests(*given_blocks, limits=Limits(samples, size_bytes))
    decoded = [one for request in found for one in parse(request.body)]
    wanted = [one for of in given_blocks for one in expected(of)]
    ended = [flag for of in given_blocks for flag in np.asarray(of.ended).tolist()]
    assert [labels for labels, _ in decoded] == [labels for labels, _ in wanted]
    for (labels, got), (_, want), is_ended in zip(decoded, wanted, ended, strict=True):
        assert not check_labels(labels)
        assert got[:-1] == want[:-1]
        assert got[-1][0] == want[-1][0]
        assert is_stale(got[-1][1]) if is_ended else got[-1][1] == want[-1][1]
    for request in found:
        assert request.samples <= max(samples, 2)
        assert len_uncompressed(request) <= size_bytes or request.series == 1


def test_a_request_names_one_of_its_series_for_people() -> None:
    rows = [['日"本', "x" * 300], ["web", ""]]
    (request,) = requests(block(rows, label_names=("service", "path")))
    assert request.example() == f'calls_total{{path="{"x" * 300}", service="日\\"本"}}'
