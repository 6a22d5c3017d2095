"""The registry: deltas in, the samples of a tick out.

Time comes from the caller. A series that got no delta for ``stale_ms`` ends with a stale
marker. State and memory grow with the series that are alive, and with the limits (see
``admission.py`` and ``cardinality.py``), nothing else.

What a tenant has no room for is added up in one series a family with the single label
``metric_overflow="true"``, which counts against no limit (tempo-behaviour.md 3.8).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from consumer.registry.admission import Admission, Arrival, Changes, Limits, Usage
from consumer.registry.births import Births
from consumer.registry.blocks import ExemplarBudget, Telling, by_tenant
from consumer.registry.cardinality import OVERFLOW_VALUE, Labelled, LabelValues, ValueLimiter
from consumer.registry.hashes import LabelHashes
from consumer.registry.holdings import Found, Holding
from consumer.registry.settings import NO_LIMITS, RegistrySettings, TenantLimits
from consumer.registry.state import Columns, dump_tables, json_key, load_tables
from consumer.registry.table import Flags, Life, SeriesTable
from consumer.remote_write.series import SeriesBlock, Tick
from processors.batch import ABSENT, EMPTY, Codes
from processors.delta import DeltaFrame, Instrument, Schema
from processors.grouping import distinct
from processors.strings import KeptStrings

_NEVER_MS = np.iinfo(np.int64).min


class Registry:
    """All series of all tenants of this worker. ``started_ms``: see :class:`Births`."""

    def __init__(self, settings: RegistrySettings, *, started_ms: int) -> None:
        self._settings = settings
        self._strings = KeptStrings(rewrite=self._cut_value)
        self._tenants = KeptStrings()
        self._hashes = LabelHashes(self._strings)
        self._limits = Limits(self._tenants)
        self._admission = Admission(
            settings.limiter_type, self._limits, self._tenants, self._hashes, settings.stale_ms
        )
        self._values = ValueLimiter(self._hashes, settings.stale_ms)
        self._tables: dict[tuple[str, ...], SeriesTable] = {}
        self._overflow = SeriesTable([name for name, _ in settings.overflow_labels])
        self._births = Births(started_ms)
        self._collected_ms = started_ms
        self._collected: dict[str, int] = {}
        """When tenants were collected that the last collection left out."""
        self._changes = Changes()

    def limit(self, limits: Mapping[str, TenantLimits], default: TenantLimits = NO_LIMITS) -> None:
        """Replace the limits of all tenants; ``default`` is for those not in ``limits``.

        What there is stays, whatever the limit; a higher one has an effect at once.
        """
        self._limits.set(limits, default)
        self._admission.forget_demand()
        self._values.forget(self._limits.cardinality)

    def fold(self, frames: Sequence[DeltaFrame], time_ms: int) -> None:
        """Add deltas that came at ``time_ms``, and keep to the limits."""
        for frame in frames:
            if not len(frame):
                continue
            arrival = self._arrival(frame, time_ms)
            self._adopt(arrival)
            refused = self._admission.refused(arrival)
            fed = arrival.observed()
            if refused is not None:
                self._admission.told_refused(arrival, refused, time_ms)
                self._add_overflow(frame, refused, time_ms)
                fed = ~refused if fed is None else fed & ~refused
            self._add(arrival, fed, time_ms)

    def begin(self, time_ms: int) -> None:
        """What is newborn counts from after ``time_ms``; called before the first collection."""
        self._collected_ms = time_ms

    def follow(self, told_ms: int) -> None:
        """Earlier processes told the same series until ``told_ms``."""
        self._births.follow(told_ms)

    def collect(self, time_ms: int, intervals_ms: Mapping[str, int] | None = None) -> Tick:
        """The sample of every series at ``time_ms``, later than the last collection.

        Of the tenants in ``intervals_ms``, each with the time between its collections, or
        of all. The zero sample of a newborn series never precedes the end of an earlier life
        of it (D15, :class:`Births`); series without a delta for the stale duration end here (D14).
        """
        due = self._due(intervals_ms)
        known_ms = intervals_ms or {}
        collected_ms = self._collected_by_tenant()
        # What came since the last collection was never sent, so it is sent before the
        # series ends, however long that collection is ago.
        stale_ms = np.where(self._limits.stale > 0, self._limits.stale, self._settings.stale_ms)
        before_ms = np.minimum(time_ms - stale_ms, collected_ms)
        before_ms[~due] = _NEVER_MS
        told: dict[str, list[SeriesBlock]] = {}
        budgets: dict[str, ExemplarBudget] = {}
        for table in self._all():
            outdated = table.outdated(before_ms)
            for cells in table.cells.values():
                cells.fit()
            slots = table.occupied()
            slots = slots[due[table.rows[slots, 0]]]
            for tenant, of_tenant in by_tenant(table, slots, self._tenants.text):
                before = self._collected.get(tenant, self._collected_ms)
                interval_ms = known_ms.get(tenant, self._settings.interval_ms)
                start_ms = self._births.start_ms(time_ms, before, interval_ms)
                constant = self._constant_labels(tenant)
                budget = budgets.setdefault(tenant, ExemplarBudget.of(self._limits.of(tenant)))
                table.begin(of_tenant, start_ms)
                telling = Telling(table, self._strings.text, constant, outdated, budget)
                told.setdefault(tenant, []).extend(telling.blocks(of_tenant))
            self._age(table, outdated, due[table.rows[:, 0]], time_ms)
        left = [name for name, is_due in zip(self._tenants.text, due, strict=True) if not is_due]
        last_ms = self._collected_ms
        self._collected = {name: self._collected.get(name, last_ms) for name in left if name}
        self._collected_ms = time_ms
        self._compact()
        return Tick(time_ms, told)

    def is_holding(self, tenants: Collection[str] | None = None) -> bool:
        """Whether something of ``tenants`` waits for the tick after the next.

        Histograms got other bounds. Each collection lets at least one of a label set's
        waiting families go on.
        """
        due = self._due(tenants)
        return any(table.is_holding(due[table.rows[:, 0]]) for table in self._all())

    def dump(self) -> tuple[Mapping[str, Any], Columns]:
        """Everything that samples of later ticks depend on, for :meth:`load`."""
        named = {json_key(names): table for names, table in self._tables.items()}
        header, columns = dump_tables({"": self._overflow, **named}, self._strings)
        times = {"collected_ms": self._collected_ms, "collected": self._collected}
        return {**header, **times, "tenants": self.tenants()}, columns

    def load(self, header: Mapping[str, Any], columns: Columns) -> None:
        """Go on from what another registry dumped; called before anything else but the limits."""
        for name in header["tenants"]:
            self._tenants.code(name)
        self._collected_ms = header["collected_ms"]
        self._collected = dict(header["collected"])
        tables = load_tables(header, columns, self._strings)
        self._overflow = tables.pop("")
        for key, table in tables.items():
            self._tables[tuple(orjson.loads(key))] = table
            slots = table.occupied()
            tenant = table.rows[slots, 0]
            table.remember(tenant)
            self._admission.entered(table, slots)
            self._admission.began(tenant, (table.life[slots] >= Life.HELD) @ table.sizes)
        self._admission.take_changes(Changes())

    def tenants(self) -> Sequence[str]:
        """Those that had deltas since the start."""
        return [name for name in self._tenants.text if name]

    def active_series(self) -> Counter[str]:
        """Series that are alive, by tenant; those of overflow are not counted."""
        return self._admission.active_series()

    def usage(self) -> Mapping[str, Usage]:
        """What tenants have, and would have without limits, as of the last collection."""
        return self._admission.usage(self._collected_ms)

    def take_label_values(self) -> LabelValues:
        """What became of the values of labels since the last call."""
        return self._values.take(self._tenants.text, self._limits.cardinality)

    def changes(self) -> Changes:
        """What came and went since the last call."""
        changes, self._changes = self._changes, Changes()
        self._admission.take_changes(changes)
        return changes

    def holdings(self) -> Iterator[Holding]:
        """What is alive, but for the overflow series, by tenant and label names."""
        for table in self._tables.values():
            for tenant, slots in by_tenant(table, table.occupied(), self._tenants.text):
                yield Holding(
                    tenant=tenant,
                    label_names=table.label_names,
                    families=tuple(table.families),
                    sizes=table.sizes,
                    labels=table.rows[slots, 1:],
                    alive=table.life[slots] >= Life.HELD,
                    strings=self._strings.text,
                )

    def find(self, frame: DeltaFrame) -> Found:
        """What the label sets of ``frame`` are called here, and which of them are alive.

        With the values that labels have while `max_cardinality_per_label` is kept to.
        """
        table = self._table(frame.schema)
        tenant = self._tenants.codes(frame.tenants)[frame.tenant]
        labels = self._strings.keep(frame.strings, frame.labels)
        labels[labels == EMPTY] = ABSENT
        rows = np.ascontiguousarray(np.column_stack([tenant, labels]), np.uint32)
        columns = table.columns(frame.schema.families)
        alive = table.states(table.find(rows), columns) >= Life.HELD
        text, constant = self._strings.text, [self._constant_labels(n) for n in frame.tenants]
        named = [
            {
                **{n: text[c] for n, c in zip(table.label_names, row, strict=True) if c},
                **constant[t],
            }
            for row, t in zip(labels.tolist(), frame.tenant.tolist(), strict=True)
        ]
        return Found([dict(sorted(each.items())) for each in named], alive)

    def _all(self) -> Sequence[SeriesTable]:
        return (*self._tables.values(), self._overflow)

    def _due(self, tenants: Collection[str] | None) -> Flags:
        """Which tenants are meant, by code (bool[tenants])."""
        names = self._tenants.text
        if tenants is None:
            return np.ones(len(names), np.bool_)
        return np.array([name in tenants for name in names], np.bool_)

    def _collected_by_tenant(self) -> NDArray[np.int64]:
        """When each tenant was last collected, by code (int64[tenants])."""
        collected = np.full(len(self._tenants.text), self._collected_ms, np.int64)
        for name, time_ms in self._collected.items():
            collected[self._tenants.code(name)] = time_ms
        return collected

    def _arrival(self, frame: DeltaFrame, time_ms: int) -> Arrival:
        """``frame`` in terms of its table; values of labels that have too many are replaced."""
        table = self._table(frame.schema)
        tenant = self._tenants.codes(frame.tenants)[frame.tenant]
        labels = self._strings.keep(frame.strings, frame.labels)
        labels[labels == EMPTY] = ABSENT
        if self._limits.any_cardinality and not frame.is_info:
            self._limit_values(frame, table, tenant, labels, time_ms)
        rows = np.ascontiguousarray(np.column_stack([tenant, labels]), np.uint32)
        columns = table.columns(frame.schema.families)
        return Arrival(frame, table, rows, table.find(rows), columns)

    def _limit_values(
        self,
        frame: DeltaFrame,
        table: SeriesTable,
        tenant: NDArray[np.uint32],
        labels: Codes,
        time_ms: int,
    ) -> None:
        overflow = self._strings.code(OVERFLOW_VALUE)
        given = Labelled(tenant, table.label_names, labels, frame.spans_of_rows())
        self._values.limit(given, self._limits.cardinality, overflow, time_ms)

    def _table(self, schema: Schema) -> SeriesTable:
        table, most = self._tables.get(schema.label_names), self._settings.max_name_bytes
        if table is None:
            table = SeriesTable([truncated(name, most) for name in schema.label_names])
            self._tables[schema.label_names] = table
        return table

    def _adopt(self, arrival: Arrival) -> None:
        """Fetch label sets from tables with other label names: the difference is empty labels.

        So it is after a dimension came or went, for what has no value of it.
        """
        if arrival.frame.is_info:
            return
        missing = np.flatnonzero(arrival.slots < 0)
        if not len(missing):
            return
        table, tenant = arrival.table, arrival.rows[missing, 0]
        names = {family.name for family in arrival.frame.schema.families}
        others = [each for each in self._tables.values() if each is not table]
        for other in sorted(others, key=lambda each: each.label_names):
            if names.isdisjoint(other.names):
                continue
            rows = missing[other.had(tenant)]
            found, theirs = other.find_other(table.label_names, arrival.rows[rows])
            rows = rows[found]
            if len(rows):
                arrival.slots[rows] = table.make(arrival.rows[rows])
                other.move(theirs, table, arrival.slots[rows])
        table.remember(tenant)

    def _add(self, arrival: Arrival, fed: Flags | None, time_ms: int) -> None:
        """Add what is ``fed`` (bool[g, f]) of ``arrival``, ``None`` for everything."""
        table, frame, rows, slots = arrival.table, arrival.frame, arrival.rows, arrival.slots
        if fed is not None and not (is_fed := np.logical_or.reduce([*fed.T])).all():
            kept = np.flatnonzero(is_fed)
            frame, fed, rows, slots = frame.take(kept), fed[kept], rows[kept], slots[kept]
        missing = np.flatnonzero(slots < 0)
        if len(missing):
            slots[missing] = table.make(rows[missing])
        born, columns = table.add(slots, arrival.columns, frame, fed, time_ms)
        if table is not self._overflow:
            self._admission.entered(table, distinct(slots[missing]))
            self._admission.began(table.rows[born, 0], table.sizes[columns])

    def _add_overflow(self, frame: DeltaFrame, refused: Flags, time_ms: int) -> None:
        """Add up, by tenant, what is ``refused`` of ``frame`` in the overflow series."""
        tenants = len(frame.tenants)
        values, places = [], []
        for index, family in enumerate(frame.schema.families):
            of_family = np.flatnonzero(refused[:, index])
            total = np.zeros((tenants, family.width))
            if family.instrument is Instrument.GAUGE:
                total[frame.tenant[of_family]] = frame.values[index][of_family]
            else:
                np.add.at(total, frame.tenant[of_family], frame.values[index][of_family])
            values.append(total)
            places.append(np.where(refused[:, index], frame.tenant.astype(np.intp), -1))
        present = np.zeros((tenants, refused.shape[1]), np.bool_)
        np.logical_or.at(present, frame.tenant, refused)
        labels = [self._strings.code(text) for _, text in self._settings.overflow_labels]
        rows = np.zeros((tenants, 1 + len(labels)), np.uint32)
        rows[:, 0] = self._tenants.codes(frame.tenants)
        rows[:, 1:] = labels
        total_frame = replace(
            frame,
            tenant=np.arange(tenants, dtype=np.uint32),
            values=tuple(values),
            labels=rows[:, 1:],
            present=(None,) * len(values),
            first=None,
            spans=None,
            cells=tuple(c and c.at(place) for c, place in zip(frame.cells, places, strict=False)),
            exemplars=tuple(
                e and e.at(place) for e, place in zip(frame.exemplars, places, strict=False)
            ),
        )
        columns = self._overflow.columns(frame.schema.families)
        slots = self._overflow.find(rows)
        arrival = Arrival(total_frame, self._overflow, rows, slots, columns)
        self._add(arrival, present, time_ms)

    def _constant_labels(self, tenant: str) -> dict[str, str]:
        label = self._settings.tenant_label
        return {**dict(self._settings.constant_labels), **({label: tenant} if label else {})}

    def _age(self, table: SeriesTable, outdated: Flags, due: Flags, time_ms: int) -> None:
        """In slots that are ``due``: newborns grow up, what is outdated goes, what waits begins."""
        newborn = (table.life == Life.NEWBORN) & due[:, np.newaxis]
        born = table.tenants(newborn)
        table.life[newborn] = Life.LIVE
        for column, cells in table.cells.items():
            cells.begin(np.flatnonzero(newborn[:, column]), time_ms)
        over = (table.life == Life.ENDED) & due[:, np.newaxis]
        gone = table.tenants(outdated)
        table.clear(outdated | over)
        replaced = table.succeed(time_ms, due)
        gone += table.tenants(replaced)
        table.clear(replaced, Life.ENDED)
        restarted = table.tenants(table.restart(time_ms, due))
        empty = table.sweep(np.flatnonzero((outdated | over).any(axis=1)))
        if table is not self._overflow:
            self._admission.left(table, empty)
            self._admission.ended(gone)
            self._changes.added += self._named(born)
            self._changes.removed += self._named(gone + restarted)

    def _named(self, counts: NDArray[np.int64]) -> Counter[str]:
        names = self._tenants.text
        return Counter({names[code]: int(counts[code]) for code in np.flatnonzero(counts).tolist()})

    def _compact(self) -> None:
        """Let go of strings that no series names any more."""
        columns = [table.rows[table.occupied(), 1:].reshape(-1) for table in self._all()]
        renamed = self._strings.compact(columns)
        if renamed is not None:
            self._hashes.rename(renamed)
            for table in self._all():
                table.rename(renamed)

    def _cut_value(self, value: str) -> str:
        return truncated(value, self._settings.max_value_bytes)


def truncated(text: str, limit: int) -> str:
    """At most ``limit`` bytes of UTF-8, cut between characters (D11); 0 is no limit."""
    if not limit or len(text) * 4 <= limit:
        return text
    encoded = text.encode("utf-8", "surrogateescape")
    return text if len(encoded) <= limit else encoded[:limit].decode("utf-8", "ignore")
