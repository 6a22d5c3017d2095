"""Keys of strings as codes: where they are, and what they become when strings are compacted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from processors.batch import ABSENT, EMPTY
from processors.grouping import group

Keys = NDArray[np.uint32]
"""uint32[n, k]: rows of codes into the strings of a tick."""

GONE = np.uint32(np.iinfo(np.uint32).max)
"""The code of a string that is no more: equal to none of a tick."""


def locate(wanted: Keys, keys: Keys) -> NDArray[np.intp]:
    """Where in ``wanted`` (distinct rows) each of ``keys`` is, or -1 (intp[n])."""
    found = np.full(len(keys), -1, np.intp)
    if not len(wanted) or not len(keys):
        return found
    rows = np.flatnonzero(np.isin(keys[:, 0], wanted[:, 0]))
    if not len(rows):
        return found
    groups = group(list(np.concatenate([wanted, keys[rows]]).T))
    place = np.full(len(groups), -1, np.intp)
    place[groups.of_row[: len(wanted)]] = np.arange(len(wanted))
    found[rows] = place[groups.of_row[len(wanted) :]]
    return found


def renaming(old: Sequence[str], new: Sequence[str]) -> NDArray[np.uint32]:
    """The code in ``new`` of each code in ``old`` (uint32[old]); ``GONE`` where there is none."""
    codes = {text: code for code, text in enumerate(new)}
    renamed = np.array([codes.get(text, GONE) for text in old], np.uint32)
    renamed[: EMPTY + 1] = (ABSENT, EMPTY)
    return renamed


def renamed_keys(keys: Keys, renamed: NDArray[np.uint32]) -> Keys:
    """``keys`` in the new codes."""
    known = keys < len(renamed)
    return np.where(known, renamed[np.where(known, keys, 0)], GONE).astype(np.uint32)
