"""Hashes of label sets, the same on every worker and after every restart.

They are made of the texts: of names and values, not of their codes, and do not depend
on the order of the labels or on labels that are empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from processors.batch import EMPTY, Codes
from processors.strings import KeptStrings

Hashes = NDArray[np.uint64]


class LabelHashes:
    """Hashes by code of what is in ``strings``: each text is hashed once, when first needed."""

    def __init__(self, strings: KeptStrings) -> None:
        self._strings = strings
        self._of_code = np.zeros(0, np.uint64)

    def of_values(self, codes: Codes) -> Hashes:
        """The hash of each text, in the shape of ``codes``."""
        known = len(self._of_code)
        if known < len(self._strings):
            added = [text_hash(text) for text in self._strings.text[known:]]
            self._of_code = np.append(self._of_code, np.array(added, np.uint64))
        return self._of_code[codes]

    def of_sets(self, label_names: Sequence[str], labels: Codes) -> Hashes:
        """The hash of each row of ``labels`` (uint32[n, k], one column per name)."""
        total = np.zeros(len(labels), np.uint64)
        values = self.of_values(labels)
        for column, name in enumerate(label_names):
            mixed = _mix(values[:, column] ^ np.uint64(text_hash(name)))
            total += np.where(labels[:, column] > EMPTY, mixed, np.uint64(0))
        return _mix(total)

    def rename(self, renamed: Codes) -> None:
        """Follow new codes of the strings (uint32[old code])."""
        old = self._of_code
        self._of_code = np.zeros(0, np.uint64)
        if len(old) == len(renamed):
            self._of_code = np.zeros(len(self._strings), np.uint64)
            self._of_code[renamed] = old


def with_name(hashes: Hashes, name: str) -> Hashes:
    """The hashes of the series called ``name`` with the label sets of ``hashes``."""
    return _mix(hashes ^ np.uint64(text_hash(name)))


def text_hash(text: str) -> int:
    """64 bits of BLAKE2b."""
    encoded = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(encoded, digest_size=8).digest(), "little")


def _mix(value: Hashes) -> Hashes:
    """The finaliser of SplitMix64: every bit of the input moves every bit of the output."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(value ^ (value >> np.uint64(31)))
