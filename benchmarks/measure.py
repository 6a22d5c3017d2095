"""The stages, timed in rounds: every stage of every case once, and all over again.

Neighbours on the machine come and go, so a rate is compared with that of ``parse_only``
on the same bytes in the same round, and a figure is the median of all rounds.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any, Literal, TypeAlias

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from benchmarks.inputs import Records
from benchmarks.machine import peak_rss_bytes, reset_peak_rss
from consumer.config.model import Config
from consumer.decode import Decoder, Encoding, RawRecords, open_decoder
from consumer.decode.messages import PUSH_BYTES
from consumer.decode.otlp_json import to_protobuf
from consumer.pipeline import ALL_PROCESSORS, build_processors, open_pipeline, projection_of
from consumer.preview import registry_of

Implementation: TypeAlias = Literal["auto", "native", "python"]

PARSE_ONLY, DECODE, PIPELINE = "parse_only", "decode", "pipeline"
STAGES = (PARSE_ONLY, DECODE, PIPELINE)


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured: ``records`` under ``config``, ``batch_spans`` at a time."""

    workload: str
    options: str
    records: Records
    config: Config
    implementation: Implementation
    batch_spans: int


@dataclass(slots=True)
class Measured:
    """Of one stage in every round."""

    seconds: list[float] = field(default_factory=list)
    peak_rss_bytes: int = 0

    def add(self, stage: Callable[[], None]) -> None:
        """Run ``stage`` once."""
        gc.collect()
        reset_peak_rss()
        began = perf_counter()
        stage()
        self.seconds.append(perf_counter() - began)
        self.peak_rss_bytes = max(self.peak_rss_bytes, peak_rss_bytes())


class Bench:
    """The stages of a case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.discarded = 0
        """Spans that never reached a processor when the pipeline last ran."""
        self.decoder = self._open_decoder()
        self._batches = case.records.batches(case.batch_spans)
        self._messages = _messages(case.records)

    def stage(self, name: str) -> Callable[[], None]:
        """One of :data:`STAGES`."""
        return {
            PARSE_ONLY: self._parse_only,
            DECODE: self._decode,
            PIPELINE: self._pipeline,
        }[name]

    def warm_up(self) -> None:
        """Run the first batch, so that what is made at first use is there."""
        self._decode(self._batches[:1])
        self._pipeline(self._batches[:1])

    def _open_decoder(self) -> Decoder:
        case = self.case
        projection = projection_of(build_processors(case.config))
        return open_decoder(case.records.encoding, projection, implementation=case.implementation)

    def _parse_only(self) -> None:
        """Protobuf's own parser on the same spans, one record after the other."""
        for message in self._messages:
            TracesData.FromString(message)

    def _decode(self, batches: Sequence[RawRecords] | None = None) -> None:
        for batch in self._batches if batches is None else batches:
            self.decoder.decode(batch)

    def _pipeline(self, batches: Sequence[RawRecords] | None = None) -> None:
        """Decode, let the processors have the spans, and fold their deltas: from nothing."""
        pipeline = open_pipeline(self.case.config)
        pipeline.decoder = self.decoder
        registry = registry_of(self.case.config)
        self.discarded = 0
        for batch in self._batches if batches is None else batches:
            outcome = pipeline.push(batch)
            registry.fold(outcome.frames, int(batch.time_ms[-1]))
            for (_, processor, _), spans in outcome.discarded.items():
                self.discarded += spans if processor == ALL_PROCESSORS else 0


def measure(cases: Sequence[Case], rounds: int) -> list[dict[str, Any]]:
    """A line for each stage of each case."""
    benches = [Bench(case) for case in cases]
    measured: dict[tuple[int, str], Measured] = defaultdict(Measured)
    for bench in benches:
        bench.warm_up()
    for _ in range(rounds):
        for number, bench in enumerate(benches):
            for stage in STAGES:
                measured[number, stage].add(bench.stage(stage))
    return [
        _line(bench, stage, {each: measured[number, each] for each in STAGES})
        for number, bench in enumerate(benches)
        for stage in STAGES
    ]


def _line(bench: Bench, stage: str, measured: Mapping[str, Measured]) -> dict[str, Any]:
    case, records = bench.case, bench.case.records
    spans = int(records.spans.sum())
    rates = [spans / seconds for seconds in measured[stage].seconds]
    parse_only = [spans / seconds for seconds in measured[PARSE_ONLY].seconds]
    ratios = [rate / parsed for rate, parsed in zip(rates, parse_only, strict=True)]
    return {
        "workload": case.workload,
        "options": case.options,
        "stage": stage,
        "decoder": "protobuf" if stage == PARSE_ONLY else bench.decoder.implementation,
        "batch_spans": case.batch_spans,
        "spans_per_second": round(median(rates)),
        "spread": [round(min(rates)), round(max(rates))],
        "parse_only_spans_per_second": round(median(parse_only)),
        "ratio": round(median(ratios), 4),
        "ratio_spread": [round(min(ratios), 4), round(max(ratios), 4)],
        "bytes_per_span": round(sum(map(len, records.values)) / spans, 1),
        "peak_rss_bytes": measured[stage].peak_rss_bytes,
        "rounds": len(rates),
        "spans": spans,
        "discarded_spans": bench.discarded if stage == PIPELINE else 0,
        "tenants": len(records.tenants),
    }


def _messages(records: Records) -> Sequence[bytes]:
    """The `TracesData` in ``records``; JSON as what it would be in protobuf."""
    if records.encoding is Encoding.OTLP_JSON:
        return [to_protobuf(value) for value in records.values]
    if records.encoding is Encoding.TEMPO:
        return [
            traces for value in records.values for traces in PUSH_BYTES.FromString(value).traces
        ]
    return records.values
