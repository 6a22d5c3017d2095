"""The flusher: at each tick, series to samples to the sender, with the offsets they cover.

Ticks are aligned to the interval. The time comes from the caller. Bound: the sender says
when there are too many ticks on their way (:attr:`Flusher.blocked`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from consumer.registry import Registry
from consumer.remote_write.delivery import Delivery
from consumer.remote_write.sender import Sender

_ROOM_MS = 2
"""Least time between two ticks: a newborn's zero sample stands after the one, before the other."""


class Flusher:
    """Owns the rhythm of ticks and knows which of them are delivered."""

    def __init__(
        self, registry: Registry, sender: Sender, *, interval_ms: int, started_ms: int
    ) -> None:
        self._registry = registry
        self._sender = sender
        self._interval_ms = interval_ms
        self._last_ms = started_ms
        self._staged: deque[tuple[Delivery, dict[int, int]]] = deque()
        self._delivered: dict[int, int] = {}

    @property
    def blocked(self) -> str | None:
        """The endpoint for whose sake no tick may be made now."""
        return self._sender.blocked

    def due(self, now_ms: int) -> int:
        """Ticks since the last one; more than 1 when some were missed."""
        return now_ms // self._interval_ms - self._last_ms // self._interval_ms

    def tick(self, now_ms: int, covered: Mapping[int, int]) -> None:
        """Send every series as of the last boundary; ``covered`` are the working offsets."""
        self._send(now_ms - now_ms % self._interval_ms, covered)

    def tick_now(self, now_ms: int, covered: Mapping[int, int]) -> None:
        """Send every series as of this moment: the last tick before something ends."""
        self._send(now_ms, covered)

    def delivered(self) -> Mapping[int, int]:
        """The offsets that ticks delivered so far cover."""
        while self._staged and self._staged[0][0].done:
            self._delivered.update(self._staged.popleft()[1])
        return self._delivered

    def forget(self, partitions: Iterable[int]) -> None:
        """These partitions are not ours any more: what ticks cover of them means nothing.

        Should they come back, others may have gone on from where we were.
        """
        for covered in (self._delivered, *(covered for _, covered in self._staged)):
            for partition in partitions:
                covered.pop(partition, None)

    @property
    def is_settled(self) -> bool:
        """Whether every tick is delivered: any of them may be the last, tenants do not wait."""
        return all(delivery.done for delivery, _ in self._staged)

    def _send(self, time_ms: int, covered: Mapping[int, int]) -> None:
        while self._registry.is_holding:
            # A tick tells what is held back only after this one, so this one covers nothing.
            self._submit(time_ms, {})
        self._submit(time_ms, covered)

    def _submit(self, time_ms: int, covered: Mapping[int, int]) -> None:
        time_ms = max(time_ms, self._last_ms + _ROOM_MS)
        delivery = self._sender.submit(self._registry.collect(time_ms))
        self._last_ms = time_ms
        self._staged.append((delivery, dict(covered)))
