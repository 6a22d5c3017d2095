"""What is asked of the operating system: one core, and how much memory there was."""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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


def rss_bytes() -> int:
    """Resident memory now, or else the peak since the process began."""
    try:
        pages = int((_OWN / "statm").read_text().split()[1])
    except OSError:
        return peak_rss_bytes()
    return pages * resource.getpagesize()


def two_cores() -> tuple[int, int]:
    """Two of the cores that this process may use; the same twice where there is but one."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    return cores[0], cores[-1]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Stay on ``core`` meanwhile, and so does every process that is started in it."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def used_cpu_s(pid: int) -> float:
    """Seconds of processor time that process ``pid`` has used (proc(5), Linux alone)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_rss_bytes_of(pid: int) -> int:
    """The most memory that process ``pid`` has had (proc(5), Linux alone)."""
    found = re.search(r"^VmHWM:\s*(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
