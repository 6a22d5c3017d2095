"""Frames in any number of batches, merged, split and encoded, say the same."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.config import parse_config
from consumer.config.tenants import settings_by_tenant
from consumer.registry import RegistrySettings
from consumer.registry.cardinality import DECIDE_MS
from consumer.seam.columns import FormatError, pack, unpack
from consumer.seam.frames import decode_frame, encode_frame
from consumer.seam.merge import add_up, concatenate
from consumer.seam.outgoing import MOST_RECORD_BYTES, Outgoing
from processors.delta import DeltaFrame, Family, Instrument, NativeShape, Schema
from processors.sparse import Cells, Exemplars
from processors.strings import KeptStrings
from tests.unit.registry.frames import Row, frame, gauge

TENANTS = settings_by_tenant(parse_config("", environ={}))
NATIVE = Family(
    "native", Instrument.NATIVE_HISTOGRAM, "Text.", "seconds", shape=NativeShape(3, 100, 0)
)
ROWS = st.builds(
    Row,
    tenant=st.sampled_from(["north", "south"]),
    service=st.sampled_from(["a", "b", "c", "Ω"]),
    path=st.sampled_from(["", "/x"]),
    calls=st.integers(1, 9).map(float),
    observed=st.none() | st.just((1.0, 0.0, 2.0, 0.5)),
)


def native(rows: list[tuple[str, int, float, float]]) -> DeltaFrame:
    """One native histogram: (service, bucket, count, seconds of the exemplar)."""
    strings = ["", "", *dict.fromkeys(service for service, *_ in rows)]
    at = np.arange(len(rows))
    count = np.array([each[2] for each in rows])
    seconds = np.array([each[3] for each in rows])
    bucket = np.array([each[1] for each in rows], np.int32)
    ids = np.array([[1, index + 1] for index in at], np.uint64).reshape(len(rows), 2)
    return DeltaFrame(
        schema=Schema(("service",), (NATIVE,)),
        tenants=("north",),
        tenant=np.zeros(len(rows), np.uint32),
        strings=strings,
        labels=np.array([[strings.index(each[0])] for each in rows], np.uint32),
        values=(np.column_stack([count, np.zeros(len(rows)), seconds]),),
        present=(None,),
        cells=(Cells(at, bucket, count),),
        exemplars=(Exemplars(at, bucket // 8, seconds, ids, ids[:, 1], at.astype(np.int64)),),
    )


def contents(frames: list[DeltaFrame]) -> dict[tuple[str, ...], list[float]]:
    """(tenant, family, labels) -> the sums of the values."""
    found: dict[tuple[str, ...], list[float]] = {}
    for each in frames:
        for row in range(len(each)):
            labels = [
                f"{name}={each.strings[code]}"
                for name, code in zip(
                    each.schema.label_names, each.labels[row].tolist(), strict=True
                )
                if each.strings[code]
            ]
            for index, family in enumerate(each.schema.families):
                present = each.present[index]
                if present is None or present[row]:
                    key = (each.tenants[each.tenant[row]], family.name, *sorted(labels))
                    values = each.values[index][row].tolist()
                    before = found.get(key, [0.0] * len(values))
                    found[key] = [one + two for one, two in zip(before, values, strict=True)]
    return found


def merged(frames: list[DeltaFrame]) -> DeltaFrame:
    return add_up(concatenate(frames, KeptStrings(), KeptStrings()))


@given(st.lists(st.lists(ROWS, min_size=1, max_size=8), min_size=1, max_size=5))
def test_merging_adds_up_and_leaves_one_row_for_each_label_set(batches: list[list[Row]]) -> None:
    frames = [frame(rows) for rows in batches]
    whole = merged(frames)
    assert contents([whole]) == contents(frames)
    assert whole.spans_of_rows().sum() == sum(map(len, frames))
    rows = np.column_stack([whole.tenant, whole.labels])
    assert len(np.unique(rows, axis=0)) == len(whole)


@given(st.lists(ROWS, min_size=1, max_size=20), st.integers(1, 19))
def test_a_batch_that_is_split_merges_to_what_it_was(rows: list[Row], cut: int) -> None:
    parts = [frame(part) for part in (rows[:cut], rows[cut:]) if part]
    once, again = merged([frame(rows)]), merged(parts)
    assert contents([once]) == contents([again])
    assert [once.strings[code] for code in once.labels[:, 0].tolist()] == [
        again.strings[code] for code in again.labels[:, 0].tolist()
    ]


def test_of_gauges_the_last_stays() -> None:
    whole = merged([gauge("north", "a", 1.0), gauge("north", "a", 5.0)])
    assert whole.values[0].tolist() == [[5.0]]


def test_rows_stand_in_the_order_of_their_first_appearance() -> None:
    one = replace(frame([Row("north", "b"), Row("north", "a")]), first=np.array([7, 3]))
    whole = merged([one, frame([Row("north", "c"), Row("north", "a")])])
    assert [whole.strings[code] for code in whole.labels[:, 0].tolist()] == ["a", "b", "c"]


def test_buckets_of_native_histograms_add_up_and_the_slowest_exemplar_stays() -> None:
    whole = merged([native([("a", 3, 1.0, 0.5), ("b", 3, 1.0, 0.1)]), native([("a", 3, 2.0, 0.7)])])
    (cells,) = whole.cells
    (exemplars,) = whole.exemplars
    assert cells is not None
    assert exemplars is not None
    assert (cells.row.tolist(), cells.count.tolist()) == ([0, 1], [3.0, 1.0])
    assert exemplars.seconds.tolist() == [0.7, 0.1]


@given(st.lists(ROWS, min_size=1, max_size=8))
def test_a_frame_comes_back_from_its_bytes(rows: list[Row]) -> None:
    given_frame = frame(rows)
    tick_ms, found = decode_frame(encode_frame(12_345, given_frame))
    assert tick_ms == 12_345
    assert found.schema == given_frame.schema
    assert contents([found]) == contents([given_frame])


def test_what_is_attached_comes_back_too() -> None:
    given_frame = replace(native([("a", 3, 1.0, 0.5), ("b", -3, 2.5, 0.1)]), is_info=True)
    _, found = decode_frame(encode_frame(0, given_frame))
    assert found.is_info
    for one, two in ((found.cells, given_frame.cells), (found.exemplars, given_frame.exemplars)):
        assert one[0] is not None
        assert two[0] is not None
        for name in type(one[0]).__slots__:
            np.testing.assert_array_equal(getattr(one[0], name), getattr(two[0], name))


@pytest.mark.parametrize("cut", [0, 1, 4, 30, -1])
def test_broken_bytes_are_told_from_whole_ones(cut: int) -> None:
    with pytest.raises(FormatError):
        decode_frame(encode_frame(1, frame([Row("north", "a")]))[:cut])


def test_another_version_is_refused() -> None:
    with pytest.raises(FormatError, match="version 9"):
        unpack(b"\x09" + pack({}, {})[1:])


@given(st.lists(st.lists(ROWS, min_size=1, max_size=8), min_size=1, max_size=5))
def test_every_series_goes_to_one_shard_with_all_its_deltas(batches: list[list[Row]]) -> None:
    outgoing = Outgoing(4, RegistrySettings(), TENANTS)
    frames = [frame(rows) for rows in batches]
    for number, each in enumerate(frames):
        outgoing.add(10 * (number % 2 + 1), [each])
    homes: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
    decoded = []
    for record in outgoing.records():
        _, found = decode_frame(record.value)
        decoded.append(found)
        for tenant, _, *labels in contents([found]):
            homes[tenant, *labels].add(record.shard)
    assert contents(decoded) == contents(frames)
    assert all(len(shards) == 1 for shards in homes.values())
    assert not outgoing


def test_a_shard_is_the_same_in_every_process() -> None:
    outgoing = Outgoing(1_000, RegistrySettings(), TENANTS)
    outgoing.add(10, [frame([Row("north", "a", "/x")]), gauge("south", "b", 1.0)])
    assert [record.shard for record in outgoing.records()] == SHARDS


SHARDS = [323, 151]


def test_large_frames_are_cut_into_records_that_brokers_take() -> None:
    outgoing = Outgoing(1, RegistrySettings(), TENANTS)
    rows = [Row("north", f"service {number:05}", "x" * 40) for number in range(30_000)]
    outgoing.add(10, [frame(rows)])
    records = list(outgoing.records())
    assert len(records) > 1
    assert all(len(record.value) <= MOST_RECORD_BYTES for record in records)
    assert sum(len(decode_frame(record.value)[1]) for record in records) == 30_000


@pytest.mark.parametrize("padding", range(8))
def test_columns_are_aligned_wherever_they_stand(padding: int) -> None:
    _, columns = unpack(pack({"padding": "x" * padding}, {"values": np.arange(3.0)}))
    assert columns["values"].flags.aligned
    assert columns["values"].tolist() == [0.0, 1.0, 2.0]


def test_replaced_values_are_told_unless_the_deltas_are_given_up() -> None:
    limited = settings_by_tenant(
        parse_config(
            "overrides: {defaults: {metrics_generator: {max_cardinality_per_label: 20}}}",
            environ={},
        )
    )
    outgoing = Outgoing(4, RegistrySettings(), limited)
    many = frame([Row("north", "svc", f"/{number}") for number in range(60)])
    for tick_ms in (1, DECIDE_MS + 1):
        outgoing.add(tick_ms, [many])
        list(outgoing.records())
    taken = outgoing.take_label_values()
    assert taken.limited == {("north", "path"): 60}
    assert taken.estimates.keys() == {("north", "service"), ("north", "path")}
    assert taken.maxima == {"north": 20}
    outgoing.add(DECIDE_MS + 2, [many])
    list(outgoing.records())
    outgoing.clear()
    assert outgoing.take_label_values().limited == {}
