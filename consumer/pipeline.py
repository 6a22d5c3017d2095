"""Record bytes in, deltas out: decode, slack, processors. No Kafka and no clock.

Tenants with equal settings share a plan, so that nothing is done once per tenant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import compress
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from consumer.acceleration import choose_pairing
from consumer.config.model import Config
from consumer.config.tenants import Processing, SettingsByTenant, settings_by_tenant
from consumer.decode import Decoder, Encoding, Failure, OpenDecoder, RawRecords, open_decoder
from consumer.decode.ahead import DecodeAhead
from consumer.plans import Plan
from processors.batch import Mask, Projection, SpanBatch
from processors.delta import DeltaFrame, Output, Processor, count_discarded
from processors.service_graphs import EdgeStore

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
    used: dict[str, Counter[str]] = field(default_factory=dict)
    """By processor: spans by tenant."""
    discarded: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(tenant, processor, reason) -> spans."""
    edges: Counter[str] = field(default_factory=Counter)
    sanitized: Counter[str] = field(default_factory=Counter)
    """By tenant: spans whose name was replaced, or would have been."""

    def add(self, processor: str, output: Output) -> None:
        """Take what ``processor`` made."""
        self.frames += output.frames
        self.edges += output.edges
        self.sanitized += output.sanitized
        self.use(processor, output.used)
        self.discard(processor, output.discarded)

    def use(self, processor: str, used: Counter[str]) -> None:
        """Count spans by tenant that ``processor`` used."""
        if used:
            # An empty counter takes all at once what others take one by one.
            self.used.setdefault(processor, Counter()).update(used)

    def discard(self, processor: str, discarded: Counter[tuple[str, str]]) -> None:
        """Count (tenant, reason) -> spans under ``processor``."""
        self.discarded.update(
            {(tenant, processor, reason): count for (tenant, reason), count in discarded.items()}
        )


_ADVANCE_MS = 1_000
"""How much time of a lane may pass before plans without spans in it hear of it."""

OpenPlan: TypeAlias = Callable[[Processing, EdgeStore], Plan]
"""Makes the plan of tenants with these settings."""


class Pipeline:
    """A decoder and the plans it feeds. ``has_slack`` False: spans of any time count."""

    decoder: Decoder
    _projection: Projection | None = None

    def __init__(
        self,
        open_with: OpenDecoder,
        tenants: SettingsByTenant,
        *,
        has_slack: bool = True,
        open_plan: OpenPlan = Plan,
    ) -> None:
        self._open_with = open_with
        self._open_plan = open_plan
        self._has_slack = has_slack
        self._edges = EdgeStore(choose_pairing())
        self._plans: dict[Processing, Plan] = {}
        self._advanced_ms: dict[int, int] = {}
        """Lane -> the time that all plans have reached at least."""
        self.apply(tenants)

    def apply(self, tenants: SettingsByTenant) -> None:
        """Let ``tenants`` count from now on; plans that stay the same go on as they are.

        A plan that nobody has any more stays until nothing waits in it.
        """
        self._tenants = tenants
        wanted = {settings.processing for settings in tenants.all()}
        self._default = self._plan(tenants.default.processing)
        self._named = {
            name: self._plan(settings.processing) for name, settings in tenants.entries.items()
        }
        # What is the same for all tenants is not looked up for each of a batch.
        self._is_shared = {self._default}.issuperset(self._named.values())
        self._slacks_ms = {settings.slack_ms for settings in tenants.all()}
        for processing, plan in self._plans.items():
            plan.is_draining = processing not in wanted
        self._drop_drained()
        projection = Projection()
        for plan in self._plans.values():
            projection = projection.union(plan.projection)
        if projection != self._projection:
            self._projection = projection
            self.decoder = self._open_with(projection)

    def read_with(self, open_with: OpenDecoder, *, has_slack: bool) -> None:
        """Decode what comes from now on otherwise, with slack or without."""
        self._open_with = open_with
        self._has_slack = has_slack
        self.decoder = open_with(self._projection or Projection())

    def push(self, records: RawRecords) -> Outcome:
        """Decode ``records`` and let every processor have the spans."""
        decoded = self.decoder.decode(records)
        outcome = Outcome(failures=decoded.failures)
        _count_received(outcome, records, decoded.spans_received)
        batch = self._eligible(decoded.batch, outcome)
        for plan, part in self._split(batch):
            for processor in plan.processors:
                outcome.add(processor.name, processor.push(part))
        if len(self._plans) > 1:
            self._advance_all(records, outcome)
        return outcome

    def _advance_all(self, records: RawRecords, outcome: Outcome) -> None:
        """Let time pass for plans whose tenants had no span: one lane has one clock.

        Not for every batch, since there may be many plans and lanes.
        """
        for lane in np.unique(records.lane).tolist():
            time_ms = int(records.time_ms[records.lane == lane].max())
            if time_ms - self._advanced_ms.get(lane, 0) >= _ADVANCE_MS:
                self._advanced_ms[lane] = time_ms
                for processor in self._processors():
                    outcome.add(processor.name, processor.advance(lane, time_ms))
        self._drop_drained()

    def advance(self, lane: int, time_ms: int) -> Outcome:
        """Let the record time of ``lane`` reach ``time_ms``."""
        outcome = Outcome()
        for processor in self._processors():
            outcome.add(processor.name, processor.advance(lane, time_ms))
        self._drop_drained()
        return outcome

    def close(self, lane: int) -> Outcome:
        """Give up whatever waits in ``lane``."""
        outcome = Outcome()
        for processor in self._processors():
            outcome.add(processor.name, processor.close(lane))
        self._advanced_ms.pop(lane, None)
        self._drop_drained()
        return outcome

    def forget(self, lane: int) -> Outcome:
        """Drop whatever waits in ``lane``; nothing but its count comes of it."""
        outcome = Outcome()
        for processor in self._processors():
            outcome.add(processor.name, processor.forget(lane))
        self._advanced_ms.pop(lane, None)
        self._drop_drained()
        return outcome

    def pending(self) -> int:
        """Spans that wait in any lane."""
        return sum(plan.pending() for plan in self._plans.values())

    @property
    def plans(self) -> int:
        """How many there are."""
        return len(self._plans)

    def _processors(self) -> Iterator[Processor]:
        """Those that hold something from one batch to the next."""
        for plan in self._plans.values():
            yield from plan.stateful

    def _plan(self, processing: Processing) -> Plan:
        plan = self._plans.get(processing)
        if plan is None:
            plan = self._plans[processing] = self._open_plan(processing, self._edges)
        return plan

    def _drop_drained(self) -> None:
        drained = [key for key, plan in self._plans.items() if plan.is_draining]
        for key in drained:
            if not self._plans[key].pending():
                del self._plans[key]

    def _split(self, batch: SpanBatch) -> Iterator[tuple[Plan, SpanBatch]]:
        """The spans of ``batch`` by the plan of their tenant."""
        if self._is_shared:
            yield self._default, batch
            return
        of_tenant = [self._named.get(name, self._default) for name in batch.records.tenants]
        numbers = {plan: number for number, plan in enumerate(dict.fromkeys(of_tenant))}
        if len(numbers) == 1:
            yield of_tenant[0], batch
            return
        of_tenant_number = np.array([numbers[plan] for plan in of_tenant], np.intp)
        of_span = of_tenant_number[batch.tenant()]
        for plan, number in numbers.items():
            part = batch.filter(of_span == number)
            yield plan, replace(part, served=of_tenant_number == number)

    def left_out(self, batch: SpanBatch) -> Sequence[tuple[Mask, str]]:
        """The spans of ``batch`` that no processor shall see (bool[n]), by reason."""
        skipped = batch.records.skip[batch.record]
        outside = ~skipped & ~self._within_slack(batch)
        return (skipped, SKIPPED), (outside, OUTSIDE_SLACK)

    def _eligible(self, batch: SpanBatch, outcome: Outcome) -> SpanBatch:
        """The spans of ``batch`` that processors shall see."""
        left_out = np.zeros(len(batch), np.bool_)
        for mask, reason in self.left_out(batch):
            outcome.discard(ALL_PROCESSORS, count_discarded(batch, mask, reason))
            left_out |= mask
        return batch.filter(~left_out) if left_out.any() else batch

    def _within_slack(self, batch: SpanBatch) -> Mask:
        """Whether a span ended within the slack of its record's timestamp (D12)."""
        if not self._has_slack:
            return np.ones(len(batch), np.bool_)
        end_ms = (batch.end_ns // np.uint64(1_000_000)).astype(np.int64)
        distance_ms = np.abs(end_ms - batch.records.time_ms[batch.record])
        if len(self._slacks_ms) == 1:
            return np.asarray(distance_ms <= min(self._slacks_ms))
        settings = map(self._tenants.for_tenant, batch.records.tenants)
        slack_ms = np.array([each.slack_ms for each in settings], np.int64)
        return np.asarray(distance_ms <= slack_ms[batch.tenant()])


def open_pipeline(
    config: Config, tenants: SettingsByTenant | None = None, ahead: DecodeAhead | None = None
) -> Pipeline:
    """The pipeline that ``config`` describes, with the fastest decoder there is, or ``ahead``."""
    open_with = partial(open_decoder, Encoding(config.kafka.encoding))
    return Pipeline(ahead.open if ahead else open_with, tenants or settings_by_tenant(config))


def _count_received(outcome: Outcome, records: RawRecords, spans: NDArray[np.int64]) -> None:
    count = len(records.tenants)
    sizes = np.fromiter(map(len, records.values), np.int64, len(records))
    of_tenant = np.bincount(records.tenant, minlength=count)
    is_there = of_tenant > 0
    names = tuple(compress(records.tenants, is_there.tolist()))
    for counter, weights in ((outcome.spans, spans), (outcome.bytes, sizes)):
        sums = np.bincount(records.tenant, weights=weights, minlength=count).astype(np.int64)
        counter.update(dict(zip(names, sums[is_there].tolist(), strict=True)))
    outcome.records.update(dict(zip(names, of_tenant[is_there].tolist(), strict=True)))
