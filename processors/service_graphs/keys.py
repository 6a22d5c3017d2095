"""64-bit keys of halves, so that pairing compares one number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]


def trace_keys(tenant: NDArray[np.uint32], trace_id: Keys) -> Keys:
    """A hash of tenant (uint32[n]) and trace id (uint64[n, 2]): uint64[n]."""
    key = _mix(trace_id[:, 0] ^ _mix(tenant.astype(np.uint64)))
    return _mix(key ^ trace_id[:, 1])


def span_keys(trace: Keys, span_id: Keys) -> Keys:
    """A hash of what :func:`trace_keys` gave and of a span id, each uint64[n].

    Two different spans share a key with odds of 1 in 2**64; ids are random already, the
    mixing keeps ids that a tracer counts upwards apart as well.
    """
    return _mix(trace ^ span_id)


def _mix(key: Keys) -> Keys:
    """A bijection in which each bit of the input moves half of the output's."""
    key = (key ^ (key >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    key = (key ^ (key >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return key ^ (key >> np.uint64(32))
