"""Strings that outlive a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import overload

import numpy as np

from processors.batch import ABSENT, EMPTY, Codes, Mask

_COMPACT_AT = 50_000
"""Below this many strings it is not worth looking for unused ones."""

_MAX_RECENT = 8
"""Tuples and lists of texts whose codes are remembered: two for each frame of a batch."""


class Texts(Sequence[str]):
    """The first ``length`` strings of ``base``, and those that were ``added`` behind them.

    ``base`` may grow meanwhile; what is there never changes.
    """

    __slots__ = ("added", "base", "length")

    def __init__(self, base: Sequence[str], length: int, added: Sequence[str]) -> None:
        self.base, self.length, self.added = base, length, added

    def __len__(self) -> int:
        return self.length + len(self.added)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[code] for code in range(*index.indices(len(self)))]
        if index < 0:
            raise IndexError(f"{index} is no code")
        return self.base[index] if index < self.length else self.added[index - self.length]


class KeptStrings:
    """A dictionary like that of a batch, but one that lives on; codes 0 and 1 are the same.

    ``rewrite`` is applied to every string once, before it is kept.
    """

    def __init__(self, rewrite: Callable[[str], str] | None = None) -> None:
        self._rewrite = rewrite
        self.text: list[str] = ["", ""]
        self.valid: list[bool] = [True, True]
        self._codes: dict[str, int] = {}
        self._any_invalid = False
        self._compact_at = _COMPACT_AT
        self._recent: dict[tuple[str, ...], Codes] = {}
        self._known: dict[int, tuple[Sequence[str], Codes]] = {}
        """By identity: a list of others, and our codes of its strings, or _UNKNOWN."""

    def __len__(self) -> int:
        return len(self.text)

    def keep(self, text: Sequence[str], codes: Codes, valid: Mask | None = None) -> Codes:
        """Our codes for ``codes`` into ``text``, in the same shape.

        Each distinct one is looked up once, and not again while frames come with the same
        ``text``, to which nothing but additions was made. ``valid``: which are UTF-8.
        """
        parts = _parts(text)
        found = self._table(parts).take(codes)
        if found.max(initial=ABSENT) == _UNKNOWN:
            self._look_up(parts, codes[found == _UNKNOWN], valid)
            found = self._table(parts).take(codes)
        return found

    def code(self, text: str) -> int:
        """Our code for ``text``, which is UTF-8."""
        return self._code(text, valid=True, theirs=EMPTY)

    def codes(self, texts: tuple[str, ...]) -> Codes:
        """Our codes for ``texts``, which are UTF-8 and often asked for again."""
        codes = self._recent.get(texts)
        if codes is None:
            if len(self._recent) >= _MAX_RECENT:
                self._recent.clear()
            found = zip(texts, map(self._codes.get, texts), strict=True)
            codes = np.array([code or self.code(text) for text, code in found], np.uint32)
            self._recent[texts] = codes
        return codes

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
        self._recent.clear()
        self._known.clear()
        self.text = [self.text[code] for code in used.tolist()]
        self.valid = [self.valid[code] for code in used.tolist()]
        self._any_invalid = not all(self.valid)
        self._codes = {text: code for code, text in enumerate(self.text) if text}
        self._compact_at = max(_COMPACT_AT, 2 * len(self.text))
        return renamed

    def valid_rows(self, columns: Sequence[Codes]) -> Mask:
        """Rows whose strings are all UTF-8 (bool[n])."""
        if not self._any_invalid:
            return np.ones(len(columns[0]), np.bool_)
        valid = np.array(self.valid, np.bool_)
        rows: Mask = np.logical_and.reduce([valid[column] for column in columns])
        return rows

    def _table(self, parts: Sequence[tuple[Sequence[str], int]]) -> Codes:
        """Our codes of what was looked up of ``parts``, one after the other; else _UNKNOWN."""
        tables = [self._known_of(text, count)[:count] for text, count in parts]
        return tables[0] if len(tables) == 1 else np.concatenate(tables)

    def _known_of(self, text: Sequence[str], count: int) -> Codes:
        """Our codes of what was looked up of ``text``, with room for ``count`` at least.

        Those that nobody came with for long are forgotten.
        """
        _, known = self._known.pop(id(text), (text, _NOTHING))
        if len(known) < count:
            known = np.concatenate([known, np.full(count, _UNKNOWN, np.uint32)])
        if len(self._known) >= _MAX_RECENT:
            del self._known[next(iter(self._known))]
        self._known[id(text)] = text, known
        return known

    def _look_up(
        self, parts: Sequence[tuple[Sequence[str], int]], codes: Codes, valid: Mask | None
    ) -> None:
        """Find our codes for ``codes`` (uint32[n], some of them more than once)."""
        is_wanted = np.zeros(sum(count for _, count in parts), np.bool_)
        is_wanted[codes] = True
        start = 0
        for text, count in parts:
            known = self._known_of(text, count)
            wanted = np.flatnonzero(is_wanted[start : start + count])
            texts = [text[code] for code in wanted.tolist()]
            known[wanted] = np.fromiter(
                map(self._codes.get, texts, repeat(_UNKNOWN)), np.uint32, len(texts)
            )
            for code in wanted[known[wanted] == _UNKNOWN].tolist():
                is_valid = valid is None or bool(valid[start + code])
                known[code] = self._code(text[code], valid=is_valid, theirs=start + code)
            start += count

    def _code(self, text: str, *, valid: bool, theirs: int) -> int:
        if not text:
            return ABSENT if theirs == ABSENT else EMPTY
        code = self._codes.get(text)
        if code is None:
            kept = text if self._rewrite is None else self._rewrite(text)
            if kept != text:
                return self._code(kept, valid=valid, theirs=theirs)
            code = self._codes[text] = len(self.text)
            self.text.append(text)
            self.valid.append(valid)
            self._any_invalid |= not valid
        return code


_NOTHING: Codes = np.zeros(0, np.uint32)
_UNKNOWN = int(np.iinfo(np.uint32).max)
"""In place of one of our codes: it was not looked up yet."""


def _parts(text: Sequence[str]) -> Sequence[tuple[Sequence[str], int]]:
    """The lists that ``text`` is made of, and how many strings of each."""
    if isinstance(text, Texts):
        return (text.base, text.length), (text.added, len(text.added))
    return ((text, len(text)),)
