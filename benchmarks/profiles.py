"""Where the time of the pipeline goes, by function."""

from __future__ import annotations

import cProfile
import pstats
import sys
from collections.abc import Sequence

from benchmarks.measure import Bench, Case

_SHOWN = 30


def profile(cases: Sequence[Case]) -> None:
    """Print a profile of the pipeline for each case to standard error."""
    for case in cases:
        bench = Bench(case)
        bench.warm_up()
        profiler = cProfile.Profile()
        profiler.runcall(bench.run)
        title = f"{case.workload} ({case.options}), {bench.decoder.implementation} decoder"
        sys.stderr.write(f"{title}, {case.batch_spans} spans a batch\n")
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(_SHOWN)
