"""The columns of pending halves, and strings that outlive a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.batch import ABSENT, EMPTY, Codes, Mask, Strings

Columns = Mapping[str, NDArray[Any]]

_KEPT_STRINGS = 50_000
"""Below this many strings it is not worth looking for unused ones."""


class KeptStrings:
    """A dictionary like that of a batch, but one that lives on; codes 0 and 1 are the same."""

    def __init__(self) -> None:
        self.text: list[str] = ["", ""]
        self.valid: list[bool] = [True, True]
        self._codes: dict[str, int] = {}
        self._compact_at = _KEPT_STRINGS

    def __len__(self) -> int:
        return len(self.text)

    def keep(self, text: Sequence[str], valid: Mask, codes: Codes) -> Codes:
        """Our codes for ``codes`` into ``text``; each distinct one is looked up once."""
        distinct, of_row = np.unique(codes, return_inverse=True)
        ours = [self._code(text[code], bool(valid[code]), code) for code in distinct.tolist()]
        return np.array(ours, dtype=np.uint32)[of_row]

    def code(self, text: str) -> int:
        """Our code for ``text``, which is UTF-8."""
        return self._code(text, valid=True, theirs=EMPTY)

    def compact(self, columns: Sequence[Codes]) -> Codes | None:
        """Drop the strings that no code in ``columns`` names, when there are many.

        Returns the new code of each old one (uint32[old length]), or ``None`` when
        nothing was done.
        """
        if len(self.text) < self._compact_at:
            return None
        used = np.unique(np.concatenate([np.array([ABSENT, EMPTY], np.uint32), *columns]))
        renamed = np.zeros(len(self.text), np.uint32)
        renamed[used] = np.arange(len(used), dtype=np.uint32)
        self.text = [self.text[code] for code in used.tolist()]
        self.valid = [self.valid[code] for code in used.tolist()]
        self._codes = {text: code for code, text in enumerate(self.text) if text}
        self._compact_at = max(_KEPT_STRINGS, 2 * len(self.text))
        return renamed

    def strings(self) -> Strings:
        """All strings as the dictionary of a batch."""
        return Strings(text=self.text, valid=np.array(self.valid, dtype=np.bool_))

    def _code(self, text: str, valid: bool, theirs: int) -> int:
        if not text:
            return ABSENT if theirs == ABSENT else EMPTY
        code = self._codes.get(text)
        if code is None:
            code = self._codes[text] = len(self.text)
            self.text.append(text)
            self.valid.append(valid)
        return code


class HalfStore:
    """Columns of halves by number, as a window that moves on.

    Numbers are given upwards by :meth:`append` and stay valid until :meth:`release`.
    """

    def __init__(self) -> None:
        self._columns: dict[str, NDArray[Any]] = {}
        self._base = 0
        self._end = 0

    def __len__(self) -> int:
        return self._end - self._base

    @property
    def first_number(self) -> int:
        """The lowest number that is held."""
        return self._base

    @property
    def next_number(self) -> int:
        """The number of the first half that :meth:`append` would take."""
        return self._end

    def append(self, columns: Columns) -> None:
        """Take rows; every call brings the same columns."""
        rows = len(next(iter(columns.values())))
        for name, column in columns.items():
            self._room(name, column, rows)[len(self) : len(self) + rows] = column
        self._end += rows

    def take(self, name: str, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """One column of the halves with ``numbers``."""
        return self._columns[name][numbers - self._base]

    def replace(self, name: str, column: NDArray[Any]) -> None:
        """Set one column of all halves that are held."""
        self._columns[name][: len(self)] = column

    def all(self, name: str) -> NDArray[Any]:
        """One column of all halves that are held."""
        return self._columns[name][: len(self)]

    def release(self, before: int) -> None:
        """Forget halves with numbers below ``before``, once that frees half the room."""
        if (before - self._base) * 2 < len(self):
            return
        kept = slice(before - self._base, len(self))
        self._columns = {name: column[kept].copy() for name, column in self._columns.items()}
        self._base = before

    def _room(self, name: str, like: NDArray[Any], rows: int) -> NDArray[Any]:
        column = self._columns.get(name, np.empty(0, like.dtype))
        if len(self) + rows > len(column):
            grown = np.empty(max(2 * len(column), len(self) + rows), like.dtype)
            grown[: len(self)] = column[: len(self)]
            self._columns[name] = column = grown
        return column
