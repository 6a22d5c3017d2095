"""How many cores this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Of the own control group, as a container sees it: microseconds in each period of so many, or
`max` (Linux, "Control Group v2")."""


def usable_cores(quota: Path = _QUOTA) -> float:
    """The cores that it may run on, or what its control group lets it have of them if less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, _allowed(quota))


def _allowed(quota: Path) -> float:
    try:
        share_us, period_us = quota.read_text().split()
        return int(share_us) / int(period_us)
    except (OSError, ValueError):
        return float("inf")
