"""The stages of a case, timed in rounds: every stage once, and all over again.

Neighbours on the machine come and go, so a rate is compared with that of ``parse_only``
on the same records in the same round, and a figure is the median of all rounds.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any, Literal, TypeAlias

from benchmarks.inputs import Records, several
from benchmarks.machine import peak_rss_bytes, reset_peak_rss
from benchmarks.parse_only import Parser
from consumer.config.model import Config
from consumer.config.tenants import settings_by_tenant
from consumer.decode import RawRecords, open_decoder
from consumer.files.rehearsal import registry_of
from consumer.pipeline import ALL_PROCESSORS, Pipeline
from consumer.registry import Registry

Implementation: TypeAlias = Literal["auto", "native", "python"]

PARSE_ONLY, PARSE_ONLY_WARM, DECODE, PIPELINE, STEADY = (
    "parse_only",
    "parse_only_warm",
    "decode",
    "pipeline",
    "steady",
)


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured: ``records`` under ``config``, ``batch_spans`` at a time."""

    workload: str
    options: str
    records: Records
    config: Config
    implementation: Implementation
    batch_spans: int
    has_steady: bool = False
    """Whether :data:`STEADY` is measured: the traces of ``records`` must have ids."""


@dataclass(slots=True)
class Measured:
    """Of one stage in every round."""

    seconds: list[float] = field(default_factory=list)
    peak_rss_bytes: int = 0

    def add(self, seconds: float, peak: int) -> None:
        """Take in a round."""
        self.seconds.append(seconds)
        self.peak_rss_bytes = max(self.peak_rss_bytes, peak)


class Bench:
    """The stages of a case that are spanmill's own."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._open = partial(
            open_decoder, case.records.encoding, implementation=case.implementation
        )
        self._tenants = settings_by_tenant(case.config)
        self.decoder = Pipeline(self._open, self._tenants).decoder
        self.discarded = 0
        """Spans that never reached a processor when the pipeline last ran."""
        self._batches = case.records.batches(case.batch_spans)
        later = several(case.records, 2).after(case.records) if case.has_steady else None
        self._later = later.batches(case.batch_spans) if later else []
        self.stages = (DECODE, PIPELINE, *([STEADY] if case.has_steady else []))

    def warm_up(self) -> None:
        """Run the first batch, so that what is made at first use is there."""
        self.decode(self._batches[:1])
        self.run(self._batches[:1])

    def decode(self, batches: Sequence[RawRecords] | None = None) -> None:
        """Decode ``batches``, or else all."""
        for batch in self._batches if batches is None else batches:
            self.decoder.decode(batch)

    def run(self, batches: Sequence[RawRecords] | None = None) -> tuple[Pipeline, Registry]:
        """Decode, let the processors have the spans, and fold their deltas: from nothing."""
        pipeline = Pipeline(self._open, self._tenants)
        registry = registry_of(self.case.config, self._tenants)
        self.discarded = 0
        self._go_on(pipeline, registry, self._batches if batches is None else batches)
        return pipeline, registry

    def _go_on(self, pipeline: Pipeline, registry: Registry, batches: Sequence[RawRecords]) -> None:
        for batch in batches:
            outcome = pipeline.push(batch)
            registry.fold(outcome.frames, int(batch.time_ms[-1]))
            for (_, processor, _), spans in outcome.discarded.items():
                self.discarded += spans if processor == ALL_PROCESSORS else 0

    def measure(self, stage: str) -> tuple[float, int]:
        """Seconds, and the peak of memory in bytes, of one of :attr:`stages`."""
        warm = self.run() if stage == STEADY else None
        gc.collect()
        reset_peak_rss()
        began = perf_counter()
        if stage == DECODE:
            self.decode()
        elif warm is None:
            self.run()
        else:
            self._go_on(*warm, self._later)
        return perf_counter() - began, peak_rss_bytes()


Rounds = defaultdict[str, Measured]
"""By stage."""


def measure(case: Case, rounds: int) -> list[dict[str, Any]]:
    """A line for each stage of ``case``."""
    bench, measured = Bench(case), Rounds(Measured)
    with ExitStack() as processes:
        fresh, warm = (
            processes.enter_context(Parser(case.records, warm=warm)) for warm in (False, True)
        )
        bench.warm_up()
        for _ in range(rounds):
            measured[PARSE_ONLY].add(*fresh.parse())
            measured[PARSE_ONLY_WARM].add(*warm.parse())
            for stage in bench.stages:
                measured[stage].add(*bench.measure(stage))
    return [_line(bench, stage, measured) for stage in (PARSE_ONLY, PARSE_ONLY_WARM, *bench.stages)]


def _line(bench: Bench, stage: str, measured: Rounds) -> dict[str, Any]:
    case, records = bench.case, bench.case.records
    spans = int(records.spans.sum())
    seconds = measured[stage].seconds
    rates = [spans / each for each in seconds]
    fresh, warm = measured[PARSE_ONLY].seconds, measured[PARSE_ONLY_WARM].seconds
    ratios = _ratios(fresh, seconds)
    is_own = stage in bench.stages
    return {
        "workload": case.workload,
        "options": case.options,
        "stage": stage,
        "decoder": bench.decoder.implementation if is_own else "protobuf",
        "batch_spans": case.batch_spans,
        "spans_per_second": round(median(rates)),
        "spread": [round(min(rates)), round(max(rates))],
        "parse_only_spans_per_second": round(spans / median(fresh)),
        "ratio": round(median(ratios), 4),
        "ratio_spread": [round(min(ratios), 4), round(max(ratios), 4)],
        "parse_only_warm_spans_per_second": round(spans / median(warm)),
        "ratio_warm": round(median(_ratios(warm, seconds)), 4),
        "bytes_per_span": round(sum(map(len, records.values)) / spans, 1),
        "peak_rss_bytes": measured[stage].peak_rss_bytes,
        "rounds": len(rates),
        "spans": spans,
        "discarded_spans": bench.discarded if stage in {PIPELINE, STEADY} else 0,
        "tenants": len(records.tenants),
    }


def _ratios(of_parser: Sequence[float], own: Sequence[float]) -> list[float]:
    """How many times faster than the parser, round by round."""
    return [parsed / seconds for parsed, seconds in zip(of_parser, own, strict=True)]
