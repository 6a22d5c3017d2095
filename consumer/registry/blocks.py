"""The samples of a tick: families of a table as the series that Prometheus knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consumer.registry.settings import TenantLimits
from consumer.registry.slots import Slots
from consumer.registry.sparse import Buckets
from consumer.registry.table import Flags, Life, SeriesTable
from consumer.remote_write.series import Exemplars as TickExemplars
from consumer.remote_write.series import MetricType, NativeHistograms, SeriesBlock
from processors.delta import Family, Instrument
from processors.histograms import ZERO_THRESHOLD
from processors.sparse import Exemplars

_TYPES = {
    Instrument.COUNTER: MetricType.COUNTER,
    Instrument.GAUGE: MetricType.GAUGE,
    Instrument.HISTOGRAM: MetricType.HISTOGRAM,
    Instrument.NATIVE_HISTOGRAM: MetricType.HISTOGRAM,
}


@dataclass(slots=True)
class ExemplarBudget:
    """How many exemplars a tenant may still get in this tick, and how they are labelled."""

    left: int
    label: str

    @classmethod
    def of(cls, limits: TenantLimits) -> ExemplarBudget:
        """A whole tick's."""
        return cls(limits.max_exemplars, limits.trace_id_label)

    def grant(self, asked: Exemplars | None) -> Exemplars | None:
        """What there is room for of ``asked``, the slowest spans first."""
        if asked is None or not len(asked) or not self.left:
            return None
        if len(asked) > self.left:
            slowest = np.argsort(-asked.seconds, kind="stable")[: self.left]
            asked = asked.where(np.sort(slowest))
        self.left -= len(asked)
        return asked


@dataclass(frozen=True, slots=True)
class OfSlots:
    """What the series of one family in a slot have in common: the columns their blocks share.

    As in :class:`~consumer.remote_write.series.SeriesBlock`.
    """

    labels: NDArray[np.uint32]
    newborn: Flags
    start_ms: NDArray[np.int64]
    ended: Flags


@dataclass(frozen=True, slots=True)
class Telling:
    """What the samples of one tenant in one table have in common.

    ``outdated`` (bool[room, families]) end here.
    """

    table: SeriesTable
    strings: Sequence[str]
    constant_labels: dict[str, str]
    outdated: Flags
    budget: ExemplarBudget

    def blocks(self, slots: Slots) -> Iterator[SeriesBlock]:
        """The blocks of the series in ``slots``."""
        for column in range(len(self.table.families)):
            life = self.table.life[slots, column]
            told = slots[life >= Life.NEWBORN]
            if len(told):
                yield from self._told(column, told)
            replaced = slots[life == Life.ENDED]
            if len(replaced):
                yield from self._stale(column, replaced)

    def _told(self, column: int, slots: Slots) -> Iterator[SeriesBlock]:
        """The blocks of one family, with the exemplars that it has to tell."""
        family, values = self.table.families[column], self.table.values[column][slots]
        of_slots = OfSlots(
            labels=self.table.rows[slots, 1:],
            newborn=self.table.life[slots, column] == Life.NEWBORN,
            start_ms=self.table.began_ms[slots, column],
            ended=self.outdated[slots, column],
        )
        exemplars = None
        if column in self.table.exemplars:
            exemplars = self.budget.grant(self.table.exemplars[column].take(slots))
        if family.shape is not None:
            block = self._block(family, (family.name, ""), of_slots, values[:, 0])
            histograms = _native(self.table.cells[column].of(slots), values)
            yield replace(block, histograms=histograms, exemplars=self._exemplars(exemplars))
            return
        is_counter = family.instrument is Instrument.COUNTER
        buckets = {f"{family.name}_bucket"} if not is_counter else {family.name}
        bucket = 0
        for series, samples in _samples(family, values):
            block = self._block(family, series, of_slots, samples)
            if exemplars is not None and series[0] in buckets:
                of_bucket = exemplars.where(exemplars.bucket == bucket)
                block = replace(block, exemplars=self._exemplars(of_bucket, is_one=is_counter))
                bucket += 1
            yield block

    def _exemplars(
        self, exemplars: Exemplars | None, *, is_one: bool = False
    ) -> TickExemplars | None:
        """As remote write has them; ``is_one``: each stands for one, not for its seconds."""
        if exemplars is None or not len(exemplars):
            return None
        return TickExemplars(
            row=exemplars.row,
            value=np.ones(len(exemplars)) if is_one else exemplars.seconds,
            trace_id=exemplars.trace_id,
            span_id=exemplars.span_id,
            time_ms=exemplars.time_ms,
            trace_id_label=self.budget.label,
        )

    def _stale(self, column: int, slots: Slots) -> Iterator[SeriesBlock]:
        """Stale markers for the series of a family that its rival does not tell."""
        family = self.table.families[column]
        for rivals in self.table.rivals:
            for rival in rivals if column in rivals else ():
                heirs = slots[self.table.life[slots, rival] >= Life.NEWBORN]
                told = set(series_names(self.table.families[rival]))
                no = np.zeros(len(heirs), np.bool_)
                nothing, never_ms = np.zeros(len(heirs)), np.zeros(len(heirs), np.int64)
                of_slots = OfSlots(self.table.rows[heirs, 1:], no, never_ms, ~no)
                for series in series_names(family):
                    if len(heirs) and series not in told:
                        yield self._block(family, series, of_slots, nothing)

    def _block(
        self,
        family: Family,
        series: tuple[str, str],
        of_slots: OfSlots,
        values: NDArray[np.float64],
    ) -> SeriesBlock:
        name, le = series
        labels = {**self.constant_labels, "le": le} if le else self.constant_labels
        return SeriesBlock(
            name=name,
            type=_TYPES[family.instrument],
            help=family.help,
            unit=family.unit,
            constant_labels=tuple(sorted(labels.items())),
            label_names=self.table.label_names,
            labels=of_slots.labels,
            strings=self.strings,
            values=values,
            newborn=of_slots.newborn,
            start_ms=of_slots.start_ms,
            ended=of_slots.ended,
        )


def _native(buckets: Buckets, values: NDArray[np.float64]) -> NativeHistograms:
    return NativeHistograms(
        schema=buckets.schema,
        zero_threshold=ZERO_THRESHOLD,
        count=values[:, 0],
        zero_count=values[:, 1],
        sum=values[:, 2],
        offsets=buckets.offsets,
        bucket=buckets.bucket,
        bucket_count=buckets.count,
    )


def series_names(family: Family) -> list[tuple[str, str]]:
    """(name, ``le`` or "") of each series of a family (tempo-behaviour.md 3.11)."""
    if family.instrument is not Instrument.HISTOGRAM:
        return [(family.name, "")]
    bounds = (*family.bounds, np.inf)
    buckets = [(f"{family.name}_bucket", bound_text(bound)) for bound in bounds]
    return [(f"{family.name}_count", ""), (f"{family.name}_sum", ""), *buckets]


def bound_text(bound: float) -> str:
    """A bucket's ``le``: shortest fixed notation, ``+Inf`` for the last."""
    return "+Inf" if np.isinf(bound) else np.format_float_positional(bound, trim="-")


def by_tenant(
    table: SeriesTable, slots: Slots, names: Sequence[str]
) -> Iterator[tuple[str, Slots]]:
    """``slots``, which are ordered by tenant, cut into tenants."""
    if not len(slots):
        return
    tenants = table.rows[slots, 0]
    starts = np.flatnonzero(np.diff(tenants, prepend=tenants[0] + 1))
    for part in np.split(slots, starts[1:]):
        yield names[table.rows[part[0], 0]], part


def _samples(
    family: Family, values: NDArray[np.float64]
) -> Iterator[tuple[tuple[str, str], NDArray[np.float64]]]:
    """:func:`series_names`, each with its values (float64[n])."""
    names = series_names(family)
    if family.instrument is not Instrument.HISTOGRAM:
        yield names[0], values[:, 0]
        return
    cumulative = np.cumsum(values[:, :-1], axis=1)
    yield names[0], cumulative[:, -1]
    yield names[1], values[:, -1]
    for column, series in enumerate(names[2:]):
        yield series, cumulative[:, column]
