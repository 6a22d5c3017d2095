"""What is asked of the operating system: one core, and how much memory there was."""

from __future__ import annotations

import os
import re
import resource
import sys
from pathlib import Path

_OWN = Path("/proc/self")
_RESET_PEAK = "5"
"""What to write to `clear_refs` (proc(5)) so that the peak is counted from here on."""


def pin_to_one_core() -> None:
    """Stay on one of the cores that this process may use, where the system has a say in it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def reset_peak_rss() -> None:
    """Forget the peak so far, where the system can."""
    try:
        (_OWN / "clear_refs").write_text(_RESET_PEAK)
    except OSError:
        return


def peak_rss_bytes() -> int:
    """The most memory since :func:`reset_peak_rss`, or else since the process began."""
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB$", (_OWN / "status").read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
