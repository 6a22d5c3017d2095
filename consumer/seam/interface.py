"""What the worker asks of the seam between its processors and the registries of series."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from consumer.kafka.source import Committed, SpanSource
from consumer.overrides import Overrides
from consumer.span_side import Ticked
from consumer.ticks.lane import Lane, Resumption

Lanes = Mapping[int, Lane]
"""The lanes of this worker, by partition."""


class Seam(Protocol):
    """Takes deltas by tick to where their series are, and lets offsets follow.

    All calls come from the worker's loop, in its one thread.
    """

    def join(self, source: SpanSource) -> None:
        """The spans come from ``source``, and offsets go to its group."""
        ...

    @property
    def blocked(self) -> bool:
        """Whether no more spans shall be read now."""
        ...

    @property
    def is_due(self) -> bool:
        """Whether the next :meth:`turn` commits, so that all has to be told before."""
        ...

    @property
    def must_begin_again(self) -> bool:
        """Whether what was read since the last commit has to be read again."""
        ...

    @property
    def slowest_ms(self) -> int | None:
        """The clock of the slowest lane that this worker knows of."""
        ...

    def apply(self, overrides: Overrides, base_ms: int) -> None:
        """Let these settings count from now on."""
        ...

    def open(self, committed: Mapping[int, Committed]) -> Mapping[int, Resumption]:
        """Partitions came; where to go on, as far as the group knows."""
        ...

    def add(self, ticked: Ticked) -> None:
        """Take deltas, before the clocks of their lanes are told."""
        ...

    def turn(self, lanes: Lanes) -> None:
        """Do what is due: close ticks, write them, commit. Called often."""
        ...

    def finish(self, lanes: Lanes, deadline_s: float) -> bool:
        """Make durable all that was added, before partitions go; whether that worked in time."""
        ...

    def forget(self, partitions: Collection[int]) -> None:
        """These partitions are not ours any more."""
        ...

    def begin_again(self) -> None:
        """All that was not committed is read again."""
        ...

    def committed(self, partition: int) -> int | None:
        """The offset that this worker committed last, if any."""
        ...

    def close(self, deadline_s: float) -> None:
        """Leave, once the spans are let go of; nothing more is called."""
        ...
