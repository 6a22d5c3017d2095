"""The registry: deltas in, the samples of a tick out.

Time comes from the caller. A series that got no delta for ``stale_ms`` ends with a stale
marker. State and memory grow with the series that are alive, nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from consumer.registry.table import Life, SeriesTable
from consumer.remote_write.series import MetricType, SeriesBlock, Tick
from processors.delta import DeltaFrame, Family, Instrument, Schema
from processors.strings import KeptStrings

_TYPES = {
    Instrument.COUNTER: MetricType.COUNTER,
    Instrument.GAUGE: MetricType.GAUGE,
    Instrument.HISTOGRAM: MetricType.HISTOGRAM,
}


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """``constant_labels`` are on every series; ``tenant_label``, if any, holds the tenant.

    Names and values of other labels are cut to the given bytes of UTF-8; 0 is no limit.
    """

    interval_ms: int = 15_000
    stale_ms: int = 900_000
    constant_labels: tuple[tuple[str, str], ...] = ()
    tenant_label: str = ""
    max_name_bytes: int = 1_024
    max_value_bytes: int = 2_048


@dataclass(slots=True)
class Changes:
    """Series that came and went since they were last asked for, by tenant."""

    added: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)


class Registry:
    """All series of all tenants of this worker."""

    def __init__(self, settings: RegistrySettings, *, started_ms: int) -> None:
        self._settings = settings
        self._strings = KeptStrings(rewrite=self._cut_value)
        self._tenants = KeptStrings()
        self._tables: dict[Schema, SeriesTable] = {}
        self._collected_ms = started_ms
        self._changes = Changes()

    def fold(self, frames: Sequence[DeltaFrame], time_ms: int) -> None:
        """Add deltas that came at ``time_ms``."""
        for frame in frames:
            if len(frame):
                table = self._tables.get(frame.schema)
                if table is None:
                    table = SeriesTable(frame.schema, self._strings, self._tenants)
                    table.label_names = tuple(map(self._cut_name, frame.schema.label_names))
                    self._tables[frame.schema] = table
                table.fold(frame, time_ms)

    def collect(self, time_ms: int) -> Tick:
        """The sample of every series at ``time_ms``, later than the last collection.

        Newborn series count from just after the collection before, so that their zero
        sample never precedes the end of an earlier life of the same series (D15); series
        without a delta for the stale duration end here (D14).
        """
        start_ms = max(self._collected_ms + 1, time_ms - self._settings.interval_ms)
        tenants: dict[str, list[SeriesBlock]] = {}
        for table in self._tables.values():
            slots = table.occupied()
            ended = self._ended(table, time_ms)
            for tenant, of_tenant in _by_tenant(table, slots, self._tenants.text):
                blocks = tenants.setdefault(tenant, [])
                blocks += self._blocks(table, of_tenant, tenant, start_ms, ended)
            self._age(table, slots, ended)
        self._collected_ms = time_ms
        self._compact()
        return Tick(time_ms, tenants)

    def active_series(self) -> Counter[str]:
        """Series that are alive, by tenant."""
        active: Counter[str] = Counter()
        for table in self._tables.values():
            active += self._count(table, np.flatnonzero(table.life.any(axis=1)))
        return active

    def changes(self) -> Changes:
        """What came and went since the last call."""
        changes, self._changes = self._changes, Changes()
        return changes

    def _ended(self, table: SeriesTable, time_ms: int) -> NDArray[np.bool_]:
        """Which slots (bool[room]) got no delta for the stale duration.

        What came since the last collection was never sent, so it is sent before the
        series ends, however long that collection is ago.
        """
        is_old = table.updated_ms < time_ms - self._settings.stale_ms
        return np.asarray(is_old & (table.updated_ms < self._collected_ms))

    def _blocks(
        self,
        table: SeriesTable,
        slots: NDArray[np.intp],
        tenant: str,
        start_ms: int,
        ended: NDArray[np.bool_],
    ) -> Iterator[SeriesBlock]:
        """The blocks of one tenant; newborns begin at ``start_ms``."""
        constant = dict(self._settings.constant_labels)
        if self._settings.tenant_label:
            constant[self._settings.tenant_label] = tenant
        for index, family in enumerate(table.schema.families):
            rows = slots[table.life[slots, index] != Life.ABSENT]
            if not len(rows):
                continue
            newborn = table.life[rows, index] == Life.NEWBORN
            for name, le, values in _samples(family, table.values[index][rows]):
                labels = {**constant, "le": le} if le else constant
                yield SeriesBlock(
                    name=name,
                    type=_TYPES[family.instrument],
                    help=family.help,
                    unit=family.unit,
                    constant_labels=tuple(sorted(labels.items())),
                    label_names=table.label_names,
                    labels=table.rows[rows, 1:],
                    strings=self._strings.text,
                    values=values,
                    newborn=newborn,
                    start_ms=np.full(len(rows), start_ms, np.int64),
                    ended=ended[rows],
                )

    def _age(
        self, table: SeriesTable, slots: NDArray[np.intp], is_ended: NDArray[np.bool_]
    ) -> None:
        """Newborns grow up; what ended goes."""
        self._changes.added += self._count(table, slots, Life.NEWBORN)
        table.life[table.life == Life.NEWBORN] = Life.LIVE
        ended = slots[is_ended[slots]]
        if len(ended):
            self._changes.removed += self._count(table, ended)
            table.remove(ended)

    def _count(
        self, table: SeriesTable, slots: NDArray[np.intp], life: Life | None = None
    ) -> Counter[str]:
        """Series in ``slots`` by tenant, those in state ``life`` or all."""
        series = table.series(life)[slots]
        counts = np.bincount(table.rows[slots, 0], weights=series)
        names = self._tenants.text
        return Counter({names[code]: int(counts[code]) for code in np.flatnonzero(counts).tolist()})

    def _compact(self) -> None:
        """Let go of strings that no series names any more."""
        columns = [table.rows[table.occupied(), 1:].reshape(-1) for table in self._tables.values()]
        renamed = self._strings.compact(columns)
        if renamed is not None:
            for table in self._tables.values():
                table.rename(renamed)

    def _cut_name(self, name: str) -> str:
        return truncated(name, self._settings.max_name_bytes)

    def _cut_value(self, value: str) -> str:
        return truncated(value, self._settings.max_value_bytes)


def truncated(text: str, limit: int) -> str:
    """At most ``limit`` bytes of UTF-8, cut between characters (D11); 0 is no limit."""
    if not limit or len(text) * 4 <= limit:
        return text
    encoded = text.encode("utf-8", "surrogateescape")
    return text if len(encoded) <= limit else encoded[:limit].decode("utf-8", "ignore")


def _by_tenant(
    table: SeriesTable, slots: NDArray[np.intp], names: Sequence[str]
) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """``slots``, which are ordered by tenant, cut into tenants."""
    if not len(slots):
        return
    tenants = table.rows[slots, 0]
    starts = np.flatnonzero(np.diff(tenants, prepend=tenants[0] + 1))
    for part in np.split(slots, starts[1:]):
        yield names[table.rows[part[0], 0]], part


def _samples(
    family: Family, values: NDArray[np.float64]
) -> Iterator[tuple[str, str, NDArray[np.float64]]]:
    """(series name, ``le`` or "", values) of each series of a family (3.11 of the spec)."""
    if family.instrument is not Instrument.HISTOGRAM:
        yield family.name, "", values[:, 0]
        return
    cumulative = np.cumsum(values[:, :-1], axis=1)
    yield f"{family.name}_count", "", cumulative[:, -1]
    yield f"{family.name}_sum", "", values[:, -1]
    for column, bound in enumerate((*family.bounds, np.inf)):
        yield f"{family.name}_bucket", bound_text(bound), cumulative[:, column]


def bound_text(bound: float) -> str:
    """A bucket's ``le``: shortest fixed notation, ``+Inf`` for the last."""
    return "+Inf" if np.isinf(bound) else np.format_float_positional(bound, trim="-")
