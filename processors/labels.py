"""Label names and values: sanitising, collisions, and text that a batch does not hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from processors.batch import ABSENT, EMPTY, Codes, Mask, Strings
from processors.grouping import group
from processors.strings import Texts

INTRINSIC_LABELS = ("service", "span_name", "span_kind", "status_code", "status_message")
"""Reserved on span metrics, whether or not they are on (tempo-behaviour.md 1.1)."""

_MOST_VALUES = 64
"""Of a column of small numbers, such as kinds, for which a table is faster than sorting."""

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_]")


def label_name(attribute: str, reserved: Collection[str] = ()) -> str:
    """The label name of an attribute key.

    Each character outside ``[A-Za-z0-9_]`` becomes ``_``; a leading digit gets ``_``
    before it (D10); a name in ``reserved`` gets ``__`` (tempo-behaviour.md 1.1).
    """
    name = _NOT_IN_A_NAME.sub("_", attribute)
    if name in reserved:
        return "__" + name
    return "_" + name if name[:1].isdigit() else name


class Dictionary:
    """The strings of a batch, and those that a processor adds to them.

    Codes of the batch stay what they are; added text gets the codes after them.
    """

    def __init__(self, strings: Strings) -> None:
        self._strings = strings
        self._added: list[str] = []
        self._added_valid: list[bool] = []
        self._codes: dict[str, int] = {"": EMPTY}

    def code(self, text: str) -> int:
        """The code of ``text``, which is added if it is new here."""
        code = self._codes.get(text)
        if code is None:
            code = self._codes[text] = len(self._strings) + len(self._added)
            self._added.append(text)
            self._added_valid.append(_is_utf8(text))
        return code

    def codes(self, values: NDArray[np.int32], text: Callable[[int], str]) -> Codes:
        """Codes of ``text(value)``, called once per distinct value."""
        if len(values) and int(values.min()) >= 0 and int(values.max()) < _MOST_VALUES:
            table = np.zeros(_MOST_VALUES, np.uint32)
            for value in np.flatnonzero(np.bincount(values)).tolist():
                table[value] = self.code(text(value))
            return table.take(values)
        distinct, of_row = np.unique(values, return_inverse=True)
        codes = [self.code(text(int(value))) for value in distinct]
        return np.array(codes, dtype=np.uint32)[of_row]

    def combine(self, columns: Sequence[Codes], text: Callable[..., str]) -> Codes:
        """Codes of ``text(*texts of the row)``, called once per distinct row."""
        rows = group(columns)
        lookup = self.text()
        texts = ([lookup[code] for code in column[rows.first].tolist()] for column in columns)
        codes = [self.code(text(*row)) for row in zip(*texts, strict=True)]
        return np.array(codes, dtype=np.uint32)[rows.of_row]

    def text(self) -> Sequence[str]:
        """All strings by code."""
        return Texts(self._strings.text, len(self._strings), self._added)

    def validity(self) -> Mask:
        """Whether each string is UTF-8, by code."""
        return np.concatenate([self._strings.valid, np.array(self._added_valid, dtype=np.bool_)])

    def valid(self, columns: Sequence[Codes], rows: int) -> Mask:
        """The rows, of ``rows``, whose strings in all ``columns`` are UTF-8 (bool[rows])."""
        valid = self.validity()
        if valid.all():
            return np.ones(rows, dtype=np.bool_)
        kept = np.ones(rows, dtype=np.bool_)
        for column in columns:
            kept &= valid[column]
        return kept


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def prefer(later: Codes, earlier: Codes) -> Codes:
    """Row by row the ``later`` code unless it says absent or empty (D9)."""
    return np.where(later > EMPTY, later, earlier)


def without_empty(codes: Codes) -> Codes:
    """An empty label is no label: code :data:`EMPTY` becomes :data:`ABSENT`."""
    is_empty = codes == EMPTY
    return np.where(is_empty, np.uint32(ABSENT), codes) if is_empty.any() else codes
