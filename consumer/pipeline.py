"""Record bytes in, deltas out: decode, slack, processors. No Kafka and no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from consumer.acceleration import choose_pairing
from consumer.config.model import Config
from consumer.decode import Decoder, Encoding, Failure, RawRecords, open_decoder
from processors.batch import Mask, Projection, SpanBatch
from processors.delta import DeltaFrame, Output, Processor, count_discarded
from processors.service_graphs import ServiceGraphs
from processors.span_metrics import SpanMetrics

ALL_PROCESSORS = "all"
"""In place of a processor's name where a span never reached one."""

OUTSIDE_SLACK = "outside_metrics_ingestion_slack"
SKIPPED = "metrics_generation_skipped"


@dataclass(slots=True)
class Outcome:
    """What became of a batch of records."""

    frames: list[DeltaFrame] = field(default_factory=list)
    failures: Sequence[Failure] = ()
    records: Counter[str] = field(default_factory=Counter)
    """By tenant, like ``spans`` and ``bytes``: what came in, before anything was left out."""
    spans: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    used: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(tenant, processor) -> spans."""
    discarded: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(tenant, processor, reason) -> spans."""
    edges: Counter[str] = field(default_factory=Counter)

    def add(self, processor: str, output: Output) -> None:
        """Take what ``processor`` made."""
        self.frames += output.frames
        self.edges += output.edges
        self.used += Counter({(tenant, processor): n for tenant, n in output.used.items()})
        self.discard(processor, output.discarded)

    def discard(self, processor: str, discarded: Counter[tuple[str, str]]) -> None:
        """Count (tenant, reason) -> spans under ``processor``."""
        for (tenant, reason), count in discarded.items():
            self.discarded[tenant, processor, reason] += count


class Pipeline:
    """A decoder and the processors it feeds."""

    def __init__(
        self,
        decoder: Decoder,
        processors: Sequence[Processor],
        slack_ms: int | None,
    ) -> None:
        self.decoder = decoder
        self.processors = processors
        self._slack_ms = slack_ms

    def push(self, records: RawRecords) -> Outcome:
        """Decode ``records`` and let every processor have the spans."""
        decoded = self.decoder.decode(records)
        outcome = Outcome(failures=decoded.failures)
        _count_received(outcome, records, decoded.spans_received.tolist())
        batch = self._eligible(decoded.batch, outcome)
        for processor in self.processors:
            outcome.add(processor.name, processor.push(batch))
        return outcome

    def advance(self, lane: int, time_ms: int) -> Outcome:
        """Let the record time of ``lane`` reach ``time_ms``."""
        outcome = Outcome()
        for processor in self.processors:
            outcome.add(processor.name, processor.advance(lane, time_ms))
        return outcome

    def close(self, lane: int) -> Outcome:
        """Give up whatever waits in ``lane``."""
        outcome = Outcome()
        for processor in self.processors:
            outcome.add(processor.name, processor.close(lane))
        return outcome

    def forget(self, lane: int) -> Outcome:
        """Drop whatever waits in ``lane``; nothing but its count comes of it."""
        outcome = Outcome()
        for processor in self.processors:
            outcome.add(processor.name, processor.forget(lane))
        return outcome

    def pending(self) -> int:
        """Spans that wait in any lane."""
        return sum(processor.pending() for processor in self.processors)

    def _eligible(self, batch: SpanBatch, outcome: Outcome) -> SpanBatch:
        """The spans of ``batch`` that processors shall see."""
        skipped = batch.records.skip[batch.record]
        outside = ~skipped & ~self._within_slack(batch)
        outcome.discard(ALL_PROCESSORS, count_discarded(batch, skipped, SKIPPED))
        outcome.discard(ALL_PROCESSORS, count_discarded(batch, outside, OUTSIDE_SLACK))
        left_out = skipped | outside
        return batch.filter(~left_out) if left_out.any() else batch

    def _within_slack(self, batch: SpanBatch) -> Mask:
        """Whether a span ended within the slack of its record's timestamp (D12)."""
        if self._slack_ms is None:
            return np.ones(len(batch), np.bool_)
        end_ms = (batch.end_ns // np.uint64(1_000_000)).astype(np.int64)
        distance_ms = np.abs(end_ms - batch.records.time_ms[batch.record])
        return np.asarray(distance_ms <= self._slack_ms)


def open_pipeline(config: Config) -> Pipeline:
    """The pipeline that ``config`` describes, with the fastest decoder there is."""
    processors = build_processors(config)
    encoding = Encoding(config.kafka.encoding)
    decoder = open_decoder(encoding, projection_of(processors))
    return Pipeline(decoder, processors, config.slack_ms)


def projection_of(processors: Sequence[Processor]) -> Projection:
    """Everything that ``processors`` want decoded."""
    projection = Projection()
    for processor in processors:
        projection = projection.union(processor.projection)
    return projection


def build_processors(config: Config) -> Sequence[Processor]:
    """The processors that are switched on; a new processor gets its line here."""
    settings = config.metrics_generator.processor
    known: dict[str, Processor] = {
        SpanMetrics.name: SpanMetrics(settings.span_metrics),
        ServiceGraphs.name: ServiceGraphs(settings.service_graphs, choose_pairing()),
    }
    return [processor for name, processor in known.items() if name in config.processors]


def _count_received(outcome: Outcome, records: RawRecords, spans: Sequence[int]) -> None:
    for tenant, value, count in zip(records.tenant.tolist(), records.values, spans, strict=True):
        name = records.tenants[tenant]
        outcome.records[name] += 1
        outcome.spans[name] += count
        outcome.bytes[name] += len(value)
