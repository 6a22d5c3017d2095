"""The samples of a tick: families of a table as the series that Prometheus knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumer.registry.table import Flags, Life, SeriesTable, Slots
from consumer.remote_write.series import MetricType, SeriesBlock
from processors.delta import Family, Instrument

_TYPES = {
    Instrument.COUNTER: MetricType.COUNTER,
    Instrument.GAUGE: MetricType.GAUGE,
    Instrument.HISTOGRAM: MetricType.HISTOGRAM,
}


@dataclass(frozen=True, slots=True)
class Telling:
    """What the samples of one tenant in one table have in common.

    Newborns begin at ``start_ms``; ``outdated`` (bool[room, families]) end here.
    """

    table: SeriesTable
    strings: Sequence[str]
    constant_labels: dict[str, str]
    start_ms: int
    outdated: Flags

    def blocks(self, slots: Slots) -> Iterator[SeriesBlock]:
        """The blocks of the series in ``slots``."""
        for column, family in enumerate(self.table.families):
            life = self.table.life[slots, column]
            told = slots[life >= Life.NEWBORN]
            if len(told):
                samples = _samples(family, self.table.values[column][told])
                newborn = self.table.life[told, column] == Life.NEWBORN
                ended = self.outdated[told, column]
                for series, values in samples:
                    yield self._block(family, series, told, (values, newborn, ended))
            replaced = slots[life == Life.ENDED]
            if len(replaced):
                yield from self._stale(column, replaced)

    def _stale(self, column: int, slots: Slots) -> Iterator[SeriesBlock]:
        """Stale markers for the series of a family that its rival does not tell."""
        family = self.table.families[column]
        for rivals in self.table.rivals:
            for rival in rivals if column in rivals else ():
                heirs = slots[self.table.life[slots, rival] >= Life.NEWBORN]
                told = set(series_names(self.table.families[rival]))
                for series in series_names(family):
                    if len(heirs) and series not in told:
                        nothing, no = np.zeros(len(heirs)), np.zeros(len(heirs), np.bool_)
                        yield self._block(family, series, heirs, (nothing, no, ~no))

    def _block(
        self,
        family: Family,
        series: tuple[str, str],
        slots: Slots,
        samples: tuple[NDArray[np.float64], Flags, Flags],
    ) -> SeriesBlock:
        name, le = series
        values, newborn, ended = samples
        labels = {**self.constant_labels, "le": le} if le else self.constant_labels
        return SeriesBlock(
            name=name,
            type=_TYPES[family.instrument],
            help=family.help,
            unit=family.unit,
            constant_labels=tuple(sorted(labels.items())),
            label_names=self.table.label_names,
            labels=self.table.rows[slots, 1:],
            strings=self.strings,
            values=values,
            newborn=newborn,
            start_ms=np.full(len(slots), self.start_ms, np.int64),
            ended=ended,
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
