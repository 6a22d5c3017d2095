"""The yardstick: how fast `protobuf`'s own parser, upb, is on the same spans.

It runs in a process of its own, twice, for it depends on the heap by a factor of two.
``fresh``: as in any program that only parses; glibc gives the memory of every record back
to the system, and the next record's pages are faulted in anew. ``warm``: glibc is told to
keep it, as it does by itself in a process that has freed larger blocks before.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.inputs import Records
from benchmarks.workloads.files import write_records
from consumer.config.environment import environment
from consumer.decode import Encoding
from consumer.decode.messages import PUSH_BYTES
from consumer.decode.otlp_json import to_protobuf

ROOT = Path(__file__).parents[1]

KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20)}
"""As far as glibc goes by itself (mallopt(3), dynamic mmap threshold)."""


class Parser:
    """A process that parses ``records`` when told to; a context manager."""

    def __init__(self, records: Records, *, warm: bool) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "messages"
            write_records(file, _messages(records))
            self._process = subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, "-m", "benchmarks.parser", str(file)],
                cwd=ROOT,
                env=_environment(warm=warm),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._answer()

    def parse(self) -> tuple[float, int]:
        """Parse everything once: the seconds it took, and the peak of memory in bytes."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        seconds, peak_rss_bytes = self._answer().split()
        return float(seconds), int(peak_rss_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the parser ended with exit code {self._process.wait()}")
        return line


def _environment(*, warm: bool) -> dict[str, str]:
    """That of this process, but for what it says about glibc's heap."""
    others = environment().items()
    plain = {name: value for name, value in others if not name.startswith("MALLOC_")}
    return {**plain, **(KEEP_MEMORY if warm else {})}


def _messages(records: Records) -> Sequence[bytes]:
    """The `TracesData` in ``records``; JSON as what it would be in protobuf."""
    if records.encoding is Encoding.OTLP_JSON:
        return [to_protobuf(value) for value in records.values]
    if records.encoding is Encoding.TEMPO:
        return [
            traces for value in records.values for traces in PUSH_BYTES.FromString(value).traces
        ]
    return records.values
