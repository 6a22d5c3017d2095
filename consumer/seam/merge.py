"""Many frames into few: deltas of one tick with equal schemas add up to one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from processors.batch import ABSENT, EMPTY, Mask
from processors.delta import DeltaFrame, Family, Instrument
from processors.grouping import group
from processors.sparse import Cells, Exemplars
from processors.strings import KeptStrings

_BUCKET_OFFSET = 1 << 19
"""Makes the number of any bucket positive (see ``processors/histograms.py``)."""

_Table = TypeVar("_Table", Cells, Exemplars)


def concatenate(
    frames: Sequence[DeltaFrame], strings: KeptStrings, tenants: KeptStrings
) -> DeltaFrame:
    """All rows of ``frames``, whose schemas are equal, in order of appearance.

    Labels are codes into ``strings``, tenants those of ``tenants``; label sets may repeat.
    """
    ordered = [_in_order(frame) for frame in frames]
    starts = np.cumsum([0, *map(len, ordered)])[:-1].tolist()
    places = [np.arange(len(f)) + start for f, start in zip(ordered, starts, strict=True)]
    families = range(len(frames[0].schema.families))
    labels = np.concatenate(
        [
            f.labels if f.strings is strings.text else strings.keep(f.strings, f.labels)
            for f in ordered
        ]
    )
    labels[labels == EMPTY] = ABSENT
    codes = [np.array([tenants.code(name) for name in f.tenants], np.uint32) for f in ordered]
    tenant = [code[f.tenant] for code, f in zip(codes, ordered, strict=True)]
    return replace(
        frames[0],
        tenants=tuple(tenants.text),
        tenant=np.concatenate(tenant),
        strings=strings.text,
        labels=labels,
        values=tuple(np.concatenate([f.values[i] for f in ordered]) for i in families),
        present=tuple(_present([(f.present[i], len(f)) for f in ordered]) for i in families),
        first=None,
        spans=np.concatenate([f.spans_of_rows() for f in ordered]),
        cells=_attached([f.cells for f in ordered], places, len(families)),
        exemplars=_attached([f.exemplars for f in ordered], places, len(families)),
    )


def add_up(frame: DeltaFrame) -> DeltaFrame:
    """``frame`` with one row for each label set, in order of appearance."""
    groups = group([frame.tenant, *frame.labels.T])
    appearance = np.argsort(groups.first, kind="stable")
    rank = np.empty(len(groups), np.intp)
    rank[appearance] = np.arange(len(groups))
    of_row = rank[groups.of_row]
    first = groups.first[appearance]
    families = frame.schema.families
    return replace(
        frame,
        tenant=frame.tenant[first],
        labels=frame.labels[first],
        values=tuple(
            _values(family, values, present, of_row)
            for family, values, present in zip(families, frame.values, frame.present, strict=True)
        ),
        present=tuple(
            None if mask is None else np.bincount(of_row, mask, len(first)) > 0
            for mask in frame.present
        ),
        spans=np.bincount(of_row, frame.spans_of_rows(), len(first)).astype(np.float64),
        cells=tuple(each and _cells(each.at(of_row)) for each in frame.cells),
        exemplars=tuple(each and each.at(of_row).slowest() for each in frame.exemplars),
    )


def _in_order(frame: DeltaFrame) -> DeltaFrame:
    return frame if frame.first is None else frame.take(np.argsort(frame.first, kind="stable"))


def _values(
    family: Family, values: NDArray[np.float64], present: Mask | None, of_row: NDArray[np.intp]
) -> NDArray[np.float64]:
    if present is not None:
        values, of_row_of_values = values[present], of_row[present]
    else:
        of_row_of_values = of_row
    total = np.zeros((int(of_row.max(initial=-1)) + 1, family.width))
    if family.instrument is Instrument.GAUGE:
        total[of_row_of_values] = values
    else:
        np.add.at(total, of_row_of_values, values)
    return total


def _present(masks: Sequence[tuple[Mask | None, int]]) -> Mask | None:
    if all(mask is None for mask, _ in masks):
        return None
    whole = [np.ones(rows, np.bool_) if mask is None else mask for mask, rows in masks]
    return np.concatenate(whole)


def _attached(
    attached: Sequence[tuple[_Table | None, ...]],
    places: Sequence[NDArray[np.intp]],
    families: int,
) -> tuple[_Table | None, ...]:
    """What is attached to the rows of many frames, attached to the rows of all."""
    if not any(attached):
        return ()
    found: list[_Table | None] = []
    for index in range(families):
        tables = [
            table.at(place)
            for of_frame, place in zip(attached, places, strict=True)
            if of_frame and (table := of_frame[index]) is not None
        ]
        found.append(type(tables[0]).concatenate(tables) if tables else None)
    return tuple(found)


def _cells(cells: Cells) -> Cells:
    """One cell for each row and bucket, with the counts of all."""
    if not len(cells):
        return cells
    groups = group([cells.row.astype(np.uint64), (cells.bucket + _BUCKET_OFFSET).astype(np.uint32)])
    return Cells(cells.row[groups.first], cells.bucket[groups.first], groups.sum(cells.count))
