"""Edges of a service graph as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from processors.batch import Codes, Mask


@dataclass(frozen=True, slots=True)
class Edges:
    """``e`` edges: the numbers of their halves (`halves.NOBODY` for a side never seen).

    ``client``, ``server``, ``connection_type`` and ``virtual_node`` (which of the sides is
    one) are label values, as kept strings. The seconds are NaN where a side was not measured (D1).
    """

    client_half: NDArray[np.int64]
    server_half: NDArray[np.int64]
    client: Codes
    server: Codes
    connection_type: Codes
    virtual_node: Codes
    client_seconds: NDArray[np.float64]
    server_seconds: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.client_half)

    def settled_by(self, mask: Mask) -> NDArray[np.int64]:
        """The halves whose first edge is one where ``mask`` (bool[e]) is true.

        The first, so that it does not matter which of a client's edges are in one batch.
        """
        client, first = np.unique(self.client_half, return_index=True)
        return np.concatenate([client[mask[first]], self.server_half[mask]])

    def where(self, mask: Mask) -> Edges:
        """The edges where ``mask`` (bool[e]) is true."""
        return Edges(*(getattr(self, field.name)[mask] for field in fields(self)))


def concatenate(parts: Sequence[Edges]) -> Edges:
    """All edges of ``parts``, in order."""
    return Edges(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Edges))
    )
