"""What tenants may have, what they have, and what they would have without limits.

Bounds: some numbers for each tenant; a sketch (4 KiB) for each size of family of each
tenant that something was refused to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from consumer.registry.hashes import LabelHashes, with_name
from consumer.registry.limiter import Candidates, Entities, Numbers, refuse_series
from consumer.registry.settings import NO_LIMITS, LimiterType, TenantLimits
from consumer.registry.sketch import SlidingSketches
from consumer.registry.slots import Slots
from consumer.registry.table import Flags, Life, SeriesTable
from processors.delta import DeltaFrame
from processors.strings import KeptStrings

_NO_LIMIT = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame in terms of its table.

    ``rows`` (uint32[g, 1 + k], contiguous): tenant and labels, ``slots``
    (intp[g]) where they are, -1 for nowhere, ``columns`` (intp[f]) those of the families.
    """

    frame: DeltaFrame
    table: SeriesTable
    rows: NDArray[np.uint32]
    slots: Slots
    columns: Slots

    def observed(self) -> Flags | None:
        """Where the families are observed (bool[g, f]), ``None`` for everywhere."""
        if all(present is None for present in self.frame.present):
            return None
        everywhere = np.ones(len(self.frame), np.bool_)
        masks = [everywhere if mask is None else mask for mask in self.frame.present]
        return np.column_stack(masks)


@dataclass(slots=True)
class Changes:
    """What came, went and was kept out since it was last asked for, by tenant."""

    added: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    limited: Counter[str] = field(default_factory=Counter)
    """Updates that went to an overflow series: times the series of the family."""
    entities_added: Counter[str] = field(default_factory=Counter)
    entities_removed: Counter[str] = field(default_factory=Counter)
    entities_limited: Counter[str] = field(default_factory=Counter)
    """Updates that went to an overflow series."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tenant has, and about what it would have without limits."""

    limiter: LimiterType
    limits: TenantLimits
    series: int
    series_demand: int
    entities: int
    entities_demand: int

    def __add__(self, other: Usage) -> Usage:
        """What the tenant has, and may have, in two registries."""
        one, two = self.limits, other.limits
        limits = replace(
            one,
            max_active_series=one.max_active_series + two.max_active_series,
            max_active_entities=one.max_active_entities + two.max_active_entities,
        )
        return Usage(
            limiter=self.limiter,
            limits=limits,
            series=self.series + other.series,
            series_demand=self.series_demand + other.series_demand,
            entities=self.entities + other.entities,
            entities_demand=self.entities_demand + other.entities_demand,
        )


class Limits:
    """The limits of the tenants by code, as arrays (int64[tenants]); 0 is no limit."""

    def __init__(self, tenants: KeptStrings) -> None:
        self._tenants = tenants
        self.set({}, NO_LIMITS)

    def set(self, limits: Mapping[str, TenantLimits], default: TenantLimits) -> None:
        """Replace all of them; ``default`` is for the tenants that ``limits`` does not name."""
        self._limits, self._default = dict(limits), default
        given = (default, *self._limits.values())
        self.any_series = any(each.max_active_series for each in given)
        self.any_entities = any(each.max_active_entities for each in given)
        self.any_cardinality = any(each.max_cardinality_per_label for each in given)
        self._arrays = np.zeros((0, 4), np.int64)

    def of(self, tenant: str) -> TenantLimits:
        """The limits of ``tenant``."""
        return self._limits.get(tenant, self._default)

    @property
    def series(self) -> Numbers:
        """``max_active_series``."""
        return self._known()[:, 0]

    @property
    def entities(self) -> Numbers:
        """``max_active_entities``."""
        return self._known()[:, 1]

    @property
    def cardinality(self) -> Numbers:
        """``max_cardinality_per_label``."""
        return self._known()[:, 2]

    @property
    def stale(self) -> Numbers:
        """``stale_ms``."""
        return self._known()[:, 3]

    def _known(self) -> Numbers:
        names = self._tenants.text[len(self._arrays) :]
        if names:
            added = [
                (
                    one.max_active_series,
                    one.max_active_entities,
                    one.max_cardinality_per_label,
                    one.stale_ms,
                )
                for one in map(self.of, names)
            ]
            self._arrays = np.vstack([self._arrays, np.array(added, np.int64)])
        return self._arrays


class Admission:
    """Decides what may begin, and knows how much there is."""

    def __init__(
        self,
        limiter: LimiterType,
        limits: Limits,
        tenants: KeptStrings,
        hashes: LabelHashes,
        window_ms: int,
    ) -> None:
        self._limiter = limiter
        self._by_entity = limiter == "entity"
        self._limits = limits
        self._tenants = tenants
        self._hashes = hashes
        self._series = np.zeros(0, np.int64)
        self._entities = Entities()
        self._demand = SlidingSketches[tuple[int, int]](window_ms)
        """(tenant, series of the family; 0 for entities) -> what was refused."""
        self._limited: Counter[int] = Counter()
        self._used: set[int] = set()
        """The tenants that had something when it was last told."""

    def refused(self, arrival: Arrival) -> Flags | None:
        """What of ``arrival`` must go to an overflow series (bool[g, f]), ``None`` for nothing."""
        if self._by_entity:
            return self._refused_entities(arrival) if self._limits.any_entities else None
        if not self._limits.any_series:
            return None
        asked = arrival.table.states(arrival.slots, arrival.columns) < Life.HELD
        asked &= ~arrival.table.has_rival(arrival.slots, arrival.columns)
        observed = arrival.observed()
        if observed is not None:
            asked &= observed
        maxima = self._limits.series
        active = self._reach(len(maxima))[: len(maxima)]
        room = np.where(maxima > 0, maxima - active, _NO_LIMIT)
        return refuse_series(_candidates(arrival, asked), room)

    def told_refused(self, arrival: Arrival, refused: Flags, time_ms: int) -> None:
        """Count what was refused, and remember what would be there."""
        rows = np.flatnonzero(refused.any(axis=1))
        tenant = arrival.rows[rows, 0]
        sizes = arrival.table.sizes[arrival.columns]
        hashes = self._hashes.of_sets(arrival.table.label_names, arrival.rows[rows, 1:])
        self._demand.move_to(time_ms)
        if self._by_entity:
            self._demand.add(self._sketches(tenant, 0), hashes)
            weights = refused[rows].sum(axis=1)
        else:
            for index, column in enumerate(arrival.columns.tolist()):
                of_family = refused[rows, index]
                name = arrival.table.families[column].name
                sketches = self._sketches(tenant[of_family], int(sizes[index]))
                self._demand.add(sketches, with_name(hashes[of_family], name))
            weights = refused[rows] @ sizes
        counts = np.bincount(tenant, weights=weights * arrival.frame.spans_of_rows()[rows])
        for code in np.flatnonzero(counts).tolist():
            self._limited[code] += int(counts[code])

    def entered(self, table: SeriesTable, slots: Slots) -> None:
        """Label sets got ``slots`` of ``table`` (distinct)."""
        if self._by_entity:
            rows = table.rows[slots]
            table.hashes[slots] = self._hashes.of_sets(table.label_names, rows[:, 1:])
            self._entities.enter(rows[:, 0], table.hashes[slots])

    def left(self, table: SeriesTable, slots: Slots) -> None:
        """Label sets lost ``slots`` of ``table``."""
        if self._by_entity:
            self._entities.leave(table.rows[slots, 0], table.hashes[slots])

    def began(self, tenant: NDArray[np.uint32], series: Numbers) -> None:
        """So many ``series`` (int64[n]) began; a tenant may occur repeatedly."""
        np.add.at(self._reach(int(tenant.max(initial=0)) + 1), tenant, series)

    def ended(self, series: Numbers) -> None:
        """So many ``series`` of each tenant (int64[tenants]) ended."""
        self._reach(len(series))[: len(series)] -= series

    def active_series(self) -> Counter[str]:
        """Series that are alive, by tenant."""
        return self._named({c: int(self._series[c]) for c in np.flatnonzero(self._series).tolist()})

    def forget_demand(self) -> None:
        """Begin anew to estimate what there would be: limits changed."""
        self._demand.keep(np.zeros(len(self._demand), np.bool_))

    def usage(self, time_ms: int) -> Mapping[str, Usage]:
        """By tenant, for those that have something, or had when this was last asked."""
        self._demand.move_to(time_ms)
        more_series: Counter[int] = Counter()
        more_entities: Counter[int] = Counter()
        for (tenant, size), number in self._demand.by_key().items():
            more_series[tenant] += size * number
            more_entities[tenant] += 0 if size else number
        entities = self._entities.active()
        used = {*np.flatnonzero(self._series).tolist(), *more_series, *more_entities, *entities}
        codes, self._used = used | self._used, used
        series = {code: int(self._reach(code + 1)[code]) for code in codes}
        return {
            self._tenants.text[code]: Usage(
                limiter=self._limiter,
                limits=self._limits.of(self._tenants.text[code]),
                series=series[code],
                series_demand=series[code] + more_series[code],
                entities=entities[code],
                entities_demand=entities[code] + more_entities[code],
            )
            for code in codes
        }

    def take_changes(self, changes: Changes) -> None:
        """Move what was counted since the last call into ``changes``."""
        limited = self._named(self._limited)
        if self._by_entity:
            changes.entities_limited += limited
        else:
            changes.limited += limited
        changes.entities_added += self._named(self._entities.added)
        changes.entities_removed += self._named(self._entities.removed)
        for counter in (self._limited, self._entities.added, self._entities.removed):
            counter.clear()

    def _refused_entities(self, arrival: Arrival) -> Flags | None:
        is_new = arrival.slots < 0
        if not is_new.any():
            return None
        observed = arrival.observed()
        asked = np.repeat(is_new[:, np.newaxis], len(arrival.columns), axis=1)
        if observed is not None:
            asked &= observed
        limits = self._limits.entities
        maxima = np.where(limits > 0, limits, _NO_LIMIT)
        hashes = self._hashes.of_sets(arrival.table.label_names, arrival.rows[:, 1:])
        refused = self._entities.refuse(_candidates(arrival, asked), hashes, maxima)
        return None if refused is None else asked & refused[:, np.newaxis]

    def _sketches(self, tenant: NDArray[np.uint32], size: int) -> Slots:
        """The number of the sketch of each tenant for families of ``size``."""
        codes, of_row = np.unique(tenant, return_inverse=True)
        numbers = [self._demand.index((code, size)) for code in codes.tolist()]
        return np.array(numbers, np.intp)[of_row]

    def _reach(self, tenants: int) -> Numbers:
        """The active series by tenant, of so many tenants or more."""
        if tenants > len(self._series):
            self._series = np.append(self._series, np.zeros(tenants + 64, np.int64))
        return self._series

    def _named(self, counts: Mapping[int, int]) -> Counter[str]:
        return Counter({self._tenants.text[code]: count for code, count in counts.items()})


def _candidates(arrival: Arrival, asked: Flags) -> Candidates:
    first = arrival.frame.first
    return Candidates(
        rows=arrival.rows,
        asked=asked,
        sizes=arrival.table.sizes[arrival.columns],
        order=np.arange(len(asked)) if first is None else np.argsort(first, kind="stable"),
    )
