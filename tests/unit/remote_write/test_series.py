from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from consumer.remote_write.series import Exemplars, NativeHistograms, SeriesBlock, hex_texts
from tests.unit.remote_write.fakes import block


def whole_block() -> SeriesBlock:
    """One series that has everything."""
    one, number = np.ones(1), np.ones(1, np.int64)
    histograms = NativeHistograms(
        schema=number.astype(np.int8),
        zero_threshold=0.0,
        count=one.copy(),
        zero_count=one.copy(),
        sum=one.copy(),
        offsets=np.array([0, 1]),
        bucket=number.astype(np.int32),
        bucket_count=one.copy(),
    )
    exemplars = Exemplars(
        row=np.zeros(1, np.intp),
        value=one.copy(),
        trace_id=np.array([[1, 0xAB]], np.uint64),
        span_id=np.array([2], np.uint64),
        time_ms=number.copy(),
        trace_id_label="trace_id",
    )
    return replace(block([["a"]]), histograms=histograms, exemplars=exemplars)


def test_the_columns_of_a_block_are_all_its_arrays_and_those_of_its_parts() -> None:
    made = whole_block()
    arrays = [
        getattr(part, each.name)
        for part in (made, made.histograms, made.exemplars)
        if part is not None
        for each in fields(part)
        if isinstance(getattr(part, each.name), np.ndarray)
    ]
    assert sorted(map(id, made.columns)) == sorted(map(id, arrays))


def test_a_block_without_parts_has_its_own_columns() -> None:
    assert len(block([["a"]]).columns) == len(whole_block().columns) - 7 - 5


@pytest.mark.parametrize("label", ["trace_id", "a", "zone"])
def test_the_labels_of_an_exemplar_are_sorted_by_name(label: str) -> None:
    exemplars = whole_block().exemplars
    assert exemplars is not None
    ((row, value, time_ms, labels),) = replace(exemplars, trace_id_label=label).texts()
    trace_id = "000000000000000100000000000000ab"
    assert (row, value, time_ms) == (0, 1.0, 1)
    assert list(labels) == sorted([(label, trace_id), ("span_id", "0000000000000002")])


def test_numbers_in_hexadecimal_keep_their_zeros() -> None:
    assert hex_texts(np.array([[0], [2**64 - 1]], np.uint64)) == ["0" * 16, "f" * 16]
    assert hex_texts(np.zeros((0, 2), np.uint64)) == []
