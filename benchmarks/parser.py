"""A program that does nothing but parse OTLP with `protobuf`, each time it is asked to.

`python -m benchmarks.parser FILE`: for each line on standard input, parse all messages of
FILE and print the seconds it took, and the peak of memory in bytes. Imports nothing else
that would allocate, since the parser's speed depends on the state of the heap.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from benchmarks.machine import peak_rss_bytes, reset_peak_rss

_LENGTH_BYTES = 4


def main() -> None:
    content = Path(sys.argv[1]).read_bytes()
    messages = []
    start = 0
    while start < len(content):
        end = start + _LENGTH_BYTES + int.from_bytes(content[start : start + _LENGTH_BYTES], "big")
        messages.append(content[start + _LENGTH_BYTES : end])
        start = end
    print(flush=True)
    for _ in sys.stdin:
        reset_peak_rss()
        began = perf_counter()
        for message in messages:
            TracesData.FromString(message)
        print(perf_counter() - began, peak_rss_bytes(), flush=True)


if __name__ == "__main__":
    main()
