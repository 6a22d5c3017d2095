"""The dictionary of one batch: text to code, in the order of first use."""

from __future__ import annotations

import numpy as np

from processors.batch import ABSENT, EMPTY, Strings


class Dictionary(dict[bytes | None, int]):
    """``dictionary[text]`` is the code of ``text``, a new one if need be; of ``None``, ABSENT."""

    def __init__(self) -> None:
        super().__init__({None: ABSENT, b"": EMPTY})

    def __missing__(self, text: bytes | None) -> int:
        code = self[text] = len(self)
        return code

    def strings(self) -> Strings:
        """Decode every text; those that are not UTF-8 are marked in ``valid``."""
        decoded: list[str] = []
        valid = np.ones(len(self), dtype=np.bool_)
        for code, text in enumerate(self):
            try:
                decoded.append((text or b"").decode())
            except UnicodeDecodeError:
                decoded.append((text or b"").decode(errors="surrogateescape"))
                valid[code] = False
        return Strings(text=decoded, valid=valid)
