"""Strings that outlive a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat

import numpy as np

from processors.batch import ABSENT, EMPTY, Codes, Mask

_COMPACT_AT = 50_000
"""Below this many strings it is not worth looking for unused ones."""

_MAX_RECENT = 8
"""Tuples of texts whose codes are remembered: two for each frame of a batch, and some."""


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

    def __len__(self) -> int:
        return len(self.text)

    def keep(self, text: Sequence[str], codes: Codes, valid: Mask | None = None) -> Codes:
        """Our codes for ``codes`` into ``text``, in the same shape.

        Each distinct one is looked up once. ``valid``: which of ``text`` are UTF-8.
        """
        is_used = np.zeros(len(text), np.bool_)
        is_used[codes] = True
        is_used[[ABSENT, EMPTY]] = False
        used = np.flatnonzero(is_used)
        texts = [text[code] for code in used.tolist()]
        found = np.fromiter(map(self._codes.get, texts, repeat(ABSENT)), np.uint32, len(texts))
        ours = np.zeros(len(text), np.uint32)
        ours[EMPTY] = EMPTY
        ours[used] = found
        for code in used[ours[used] == ABSENT].tolist():
            is_valid = valid is None or bool(valid[code])
            ours[code] = self._code(text[code], valid=is_valid, theirs=code)
        return ours[codes]

    def code(self, text: str) -> int:
        """Our code for ``text``, which is UTF-8."""
        return self._code(text, valid=True, theirs=EMPTY)

    def codes(self, texts: tuple[str, ...]) -> Codes:
        """Our codes for ``texts``, which are UTF-8 and often asked for again."""
        codes = self._recent.get(texts)
        if codes is None:
            if len(self._recent) >= _MAX_RECENT:
                self._recent.clear()
            codes = np.array([self.code(text) for text in texts], np.uint32)
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
