"""One shard of the series: what its owner knows, as a function of the log alone.

Records of the repartition topic come in their order; ticks close at the record that brings
the last lane past them, and deltas are folded with the tick as their time. So whoever reads
the same records holds the same values. No clock, no network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from consumer.config.tenants import SettingsByTenant
from consumer.registry import Registry
from consumer.remote_write.series import Tick
from consumer.seam.columns import FormatError, pack, unpack
from consumer.seam.frames import decode_frame, encode_frame
from consumer.seam.notes import read_progress
from consumer.ticks.closer import FRAMES_A_TURN, TickCloser
from consumer.ticks.collection import TenantTicks

DELTAS, PROGRESS = b"deltas", b"progress"
"""Keys of the records of the repartition topic."""


@dataclass(frozen=True, slots=True)
class Told:
    """The samples of one tick, to be sent unless a predecessor did."""

    tick_ms: int
    ticks: Sequence[Tick]


class Shard:
    """Folds one partition of the repartition topic into series.

    ``next_offset`` is the next record to read. ``written_ms``: the last tick that is
    known to be delivered.
    """

    def __init__(self, registry: Registry, tenants: SettingsByTenant, base_ms: int) -> None:
        self.registry = registry
        self.next_offset: int | None = None
        self.written_ms = 0
        self._collection = TenantTicks(registry, tenants)
        self._closer = TickCloser(base_ms)
        self._has_begun = False

    @property
    def is_complete(self) -> bool:
        """Whether every tick that is complete was told."""
        return not self._closer.ready

    @property
    def waiting(self) -> int:
        """Ticks that are complete and not told."""
        return len(self._closer.ready)

    @property
    def watermark_ms(self) -> int | None:
        """The clock of the slowest lane."""
        return self._closer.watermark_ms

    @property
    def oldest_ms(self) -> int | None:
        """The tick to be told next, if one is complete."""
        return self._closer.ready.oldest_ms

    @property
    def base_ms(self) -> int:
        """The time between two ticks."""
        return self._closer.base_ms

    @property
    def closed_ms(self) -> int | None:
        """The tick that was complete last."""
        return self._closer.closed_ms

    @property
    def missing(self) -> Sequence[int]:
        """The lanes that the next tick waits for."""
        return self._closer.missing

    def apply(self, tenants: SettingsByTenant, base_ms: int) -> None:
        """Let these settings count from now on."""
        self._collection.apply(tenants)
        self._closer.base_ms = base_ms

    def take(self, key: bytes | None, value: bytes, offset: int) -> None:
        """The next record of the log. Raises :class:`FormatError`."""
        if key == DELTAS:
            tick_ms, frame = decode_frame(value)
            self._closer.add(tick_ms, [frame])
        elif key == PROGRESS:
            progress = read_progress(value)
            self._closer.lanes = max(progress.lanes, self._closer.lanes or 0)
            for lane, clock_ms in progress.clocks.items():
                self._closer.report(lane, clock_ms)
            self._closer.close()
        else:
            raise FormatError(f"a record with the key {key!r}")
        self.next_offset = offset + 1

    def fold_early(self) -> None:
        """Fold some of what waits for the next tick, so that less is left for when it is told.

        Deltas are folded in the same order, whenever this is called.
        """
        self._begin()
        tick_ms, frames = self._closer.take_early(FRAMES_A_TURN)
        self.registry.fold(frames, tick_ms)

    def skip_empty(self, not_before_ms: int) -> None:
        """Leave out ticks that :meth:`tell` would have nothing of, one after the other."""
        self._closer.ready.skip_empty(not_before_ms)

    def tell(self, not_before_ms: int) -> Told | None:
        """The oldest tick that is complete, with the samples that nobody delivered yet.

        A tick before ``not_before_ms`` is not told but folded into the next, if there is one.
        """
        if not self._closer.ready:
            return None
        self._begin()
        closed = self._closer.ready.popleft()
        self.registry.fold(closed.frames, closed.tick_ms)
        if closed.tick_ms < not_before_ms and self._closer.ready:
            return Told(closed.tick_ms, ())
        ticks = self._collection.collect(closed.tick_ms, self._collection.due(closed.tick_ms))
        told = list(ticks)
        return Told(closed.tick_ms, told if closed.tick_ms > self.written_ms else ())

    def dump(self) -> bytes:
        """Everything that later ticks depend on; only while :attr:`is_complete`."""
        assert self.is_complete
        header, columns = self.registry.dump()
        waiting = [
            encode_frame(tick_ms, frame)
            for tick_ms, frames in sorted(self._closer.waiting.items())
            for frame in frames
        ]
        whole = {
            "registry": header,
            "next_offset": self.next_offset,
            "last_ms": self._collection.last_ms,
            "has_begun": self._has_begun,
            "closed_ms": self._closer.closed_ms,
            "began_ms": self._closer.began_ms,
            "lanes": self._closer.lanes,
            "clocks": {str(lane): ms for lane, ms in sorted(self._closer.clocks.items())},
            "waiting": list(map(len, waiting)),
        }
        return pack(whole, {**columns, "waiting": np.frombuffer(b"".join(waiting), np.uint8)})

    def load(self, dumped: bytes) -> None:
        """Go on from what another owner dumped. Raises :class:`FormatError`."""
        whole, columns = unpack(dumped)
        try:
            self.registry.load(whole["registry"], columns)
            self.next_offset = int(whole["next_offset"])
            self._collection.last_ms = int(whole["last_ms"])
            self._has_begun = whole["has_begun"]
            self._closer.closed_ms = whole["closed_ms"]
            self._closer.began_ms = whole["began_ms"]
            self._closer.lanes = whole["lanes"]
            self._closer.clocks = {int(lane): int(ms) for lane, ms in whole["clocks"].items()}
            for value in _cut(columns["waiting"].tobytes(), whole["waiting"]):
                tick_ms, frame = decode_frame(value)
                self._closer.waiting.setdefault(tick_ms, []).append(frame)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise FormatError(f"not the snapshot of a shard: {error!r}") from error

    def _begin(self) -> None:
        if not self._has_begun and self._closer.began_ms is not None:
            self._has_begun = True
            base_ms = self._closer.base_ms
            self._collection.begin(self._closer.began_ms // base_ms * base_ms)


def _cut(joined: bytes, lengths: Sequence[int]) -> Iterator[bytes]:
    at = 0
    for length in lengths:
        yield joined[at : at + length]
        at += length
