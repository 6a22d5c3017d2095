from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from consumer.remote_write.series import Exemplars, NativeHistograms, SeriesBlock
from consumer.remote_write.shards import count_for, cut, is_worth_it
from tests.unit.remote_write.fakes import block

ROWS = [[str(row), ""] for row in range(1000)]
NAMES = ("service", "kind")


def bucket(bound: int, rows: list[list[str]] = ROWS, names: tuple[str, ...] = NAMES) -> SeriesBlock:
    return block(rows, range(len(rows)), constant=(("le", str(bound)),), label_names=names)


def places(of: dict[int, list[SeriesBlock]]) -> dict[float, set[int]]:
    """The shards of each value, which says which series it is."""
    found: dict[float, set[int]] = {}
    for shard, blocks in of.items():
        for each in blocks:
            for value in each.values.tolist():
                found.setdefault(value, set()).add(shard)
    return found


@pytest.mark.parametrize(("samples", "shards"), [(0, 1), (99, 1), (200, 2), (399, 3), (9_999, 4)])
def test_there_are_as_many_shards_as_full_requests_up_to_the_most(
    samples: int, shards: int
) -> None:
    assert count_for(samples, 50, 4, 100) == shards


@pytest.mark.parametrize(("under_way", "shards"), [(1, 8), (2, 8), (4, 16), (9, 36), (20, 50)])
def test_there_are_a_few_shards_for_each_request_under_way(under_way: int, shards: int) -> None:
    assert count_for(1_000_000, under_way, 50, 2_000) == shards


def test_only_a_large_difference_is_worth_the_draining() -> None:
    assert [wanted for wanted in range(1, 20) if not is_worth_it(wanted, 10)] == list(range(7, 14))
    assert is_worth_it(2, 1)
    assert not is_worth_it(1, 1)


def test_one_shard_has_the_blocks_as_they_are() -> None:
    blocks = [bucket(1), bucket(2)]
    assert cut(blocks, 1) == {0: blocks}


def test_every_series_is_in_one_shard_and_the_load_is_shared_out() -> None:
    shards = cut([bucket(1)], 4)
    assert sorted(shards) == [0, 1, 2, 3]
    values = [value for blocks in shards.values() for each in blocks for value in each.values]
    assert sorted(values) == list(range(1000))
    assert max(sum(map(len, blocks)) for blocks in shards.values()) < 350


def test_one_metric_alone_is_cut_too() -> None:
    assert len(cut([block(ROWS, label_names=NAMES)], 4)) == 4


def test_the_buckets_of_a_histogram_stay_together() -> None:
    assert {len(shards) for shards in places(cut([bucket(1), bucket(2)], 4)).values()} == {1}


def test_a_series_stays_in_its_shard_whatever_comes_with_it() -> None:
    first = places(cut([bucket(1)], 3))
    texts = [str(number) for number in reversed(range(2000))]
    codes = np.array([[texts.index(row[0])] for row in ROWS], dtype=np.uint32)
    other = replace(bucket(1), label_names=("service",), labels=codes, strings=texts)
    assert places(cut([block([["x"]], [-1.0]), other], 3)) == first | places(
        cut([block([["x"]], [-1.0])], 3)
    )


def test_the_order_of_labels_does_not_matter() -> None:
    rows = [[str(row), f"k{row % 7}"] for row in range(1000)]
    turned = bucket(1, [row[::-1] for row in rows], NAMES[::-1])
    assert places(cut([turned], 3)) == places(cut([bucket(1, rows)], 3))


def test_columns_that_blocks_share_are_shared_by_their_parts_too() -> None:
    first = bucket(1)
    shards = cut([first, replace(first, name="other")], 4)
    assert all(a.labels is b.labels and a.newborn is b.newborn for a, b in shards.values())


def test_exemplars_and_native_histograms_stay_with_their_series() -> None:
    rows = np.arange(0, 1000, 3)
    exemplars = Exemplars(
        row=rows,
        value=rows.astype(np.float64),
        trace_id=np.ones((len(rows), 2), np.uint64),
        span_id=rows.astype(np.uint64),
        time_ms=np.zeros(len(rows), np.int64),
        trace_id_label="trace_id",
    )
    counts = np.arange(1000.0)
    histograms = NativeHistograms(
        schema=np.zeros(1000, np.int8),
        zero_threshold=0.0,
        count=counts,
        zero_count=counts,
        sum=counts,
        offsets=np.arange(1001),
        bucket=np.arange(1000, dtype=np.int32),
        bucket_count=counts,
    )
    given = replace(bucket(1), exemplars=exemplars, histograms=histograms)
    parts = [part for blocks in cut([given], 4).values() for part in blocks]
    assert len(parts) == 4
    for part in parts:
        assert part.exemplars is not None
        assert part.histograms is not None
        assert np.all(np.diff(part.exemplars.row) > 0)
        assert np.array_equal(part.exemplars.value, part.values[part.exemplars.row])
        assert np.array_equal(part.histograms.bucket, part.values)
    assert sorted(np.concatenate([part.exemplars.value for part in parts if part.exemplars])) == [
        *rows
    ]
