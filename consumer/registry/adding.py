"""Rows of numbers added to rows of a table, in place.

`native/src/adding.rs` is the twin of :func:`add_rows_in_numpy`; the contract tests hold the
two together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from processors.grouping import IS_BUILT, distinct

if IS_BUILT:
    import spanmill_native

Numbers = NDArray[np.float64]


def add_rows_in_numpy(values: Numbers, place: NDArray[np.intp], added: Numbers) -> None:
    """Add each row of ``added`` (float64[n, w]) to the row of ``values`` at its ``place``.

    ``values`` is float64[room, w], contiguous. ``place`` is intp[n], -1 for what is not
    added; rows of one place are added in the order they stand. Raises :class:`IndexError`
    for a place beyond the room.
    """
    is_there = place >= 0
    if not is_there.all():
        place, added = place[is_there], added[is_there]
    if len(distinct(place)) == len(place):
        values[place] += added
    else:
        np.add.at(values, place, added)


def add_rows_natively(values: Numbers, place: NDArray[np.intp], added: Numbers) -> None:
    """The same by `spanmill_native`, in one pass; it takes no view that is not aligned."""
    spanmill_native.add_rows(
        values, np.require(place, np.intp, ["C", "A"]), np.require(added, np.float64, ["C", "A"])
    )


add_rows = add_rows_natively if IS_BUILT else add_rows_in_numpy
"""The faster of the two that is there."""
