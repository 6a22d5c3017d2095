"""`python -m benchmarks.workloads shop FILE`: a workload to use elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.workloads.files import SPANS, TRACES, WORKLOADS, records_of, write_records


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workloads", description=__doc__)
    parser.add_argument("workload", choices=(*WORKLOADS, TRACES))
    parser.add_argument("file", type=Path)
    parser.add_argument("--spans", type=int, default=SPANS, metavar="N", help="at least")
    arguments = parser.parse_args()
    write_records(arguments.file, records_of(arguments.workload, arguments.spans))


if __name__ == "__main__":
    main()
