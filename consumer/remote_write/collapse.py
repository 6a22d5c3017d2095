"""Makes room in the queue of a tenant that is refused, without losing what counts.

Every sample is cumulative or a gauge's present value, so a later tick says all that an
earlier one said about a series, save three things: that it began (the zero sample), that
it ended (the stale marker), and the last value of a series that is gone by the later tick.
``collapse`` keeps exactly those rows; what it leaves out costs resolution and no count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from consumer.remote_write.labels import LabelEncoder
from consumer.remote_write.series import MetricType, SeriesBlock

_Family = tuple[str, tuple[tuple[str, str], ...]]


def collapse(old: Sequence[SeriesBlock], new: Sequence[SeriesBlock]) -> list[SeriesBlock]:
    """The rows of ``old`` that ``new``, the tenant's next tick, does not make superfluous.

    The result shares no array and no strings with ``old``.
    """
    encoder = LabelEncoder()
    alive: dict[_Family, set[bytes]] = {}
    for block in new:
        labels, _ = encoder.encode(block)
        living = (labels[row] for row in np.flatnonzero(~block.ended).tolist())
        alive.setdefault((block.name, block.constant_labels), set()).update(living)
    kept: list[SeriesBlock] = []
    for block in old:
        labels, _ = encoder.encode(block)
        others = alive.get((block.name, block.constant_labels), set())
        needed = block.ended.copy()
        if block.type is not MetricType.GAUGE:
            needed |= block.newborn
        needed |= np.fromiter((label not in others for label in labels), np.bool_, len(block))
        if needed.any():
            kept.append(_only(block, np.flatnonzero(needed)))
    return kept


def _only(block: SeriesBlock, rows: NDArray[np.intp]) -> SeriesBlock:
    """The block cut down to ``rows`` and the strings that they use."""
    used, codes = np.unique(block.labels[rows], return_inverse=True)
    return replace(
        block.cut(rows),
        labels=codes.reshape(len(rows), block.labels.shape[1]).astype(np.uint32),
        strings=[block.strings[code] for code in used.tolist()],
        exemplars=None,
    )
