"""`make bench`: how fast the stages are on one core, as JSON lines (docs/performance.md).

Each case has a process of its own, as a worker has: what the Python decoder leaves behind
slows down whatever runs after it.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import orjson

from benchmarks.cases import cases_of, measured_case
from benchmarks.machine import pin_to_one_core
from benchmarks.profiles import profile
from benchmarks.workloads.files import SPANS, WORKLOADS

ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--workload", choices=WORKLOADS, action="append", help="only this one; repeatable"
    )
    parser.add_argument("--spans", type=int, default=SPANS, metavar="N", help="of each workload")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument(
        "--profile", action="store_true", help="show where the pipeline's time goes instead"
    )
    arguments = parser.parse_args()
    if min(arguments.spans, arguments.rounds) < 1:
        parser.error("--spans and --rounds are numbers of at least 1")
    pin_to_one_core()
    for workload in arguments.workload or WORKLOADS:
        cases = cases_of(workload, arguments.spans)
        if arguments.profile:
            profile(cases)
            continue
        for number in range(len(cases)):
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                numbers = (arguments.spans, number, arguments.rounds)
                for line in process.submit(measured_case, workload, *numbers).result():
                    print(orjson.dumps(line).decode(), flush=True)


if __name__ == "__main__":
    main()
