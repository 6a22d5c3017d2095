"""The search for what is refused in one request: across first, then down.

A request that is refused is cut in halves, and so is each part that is refused. Until a part is
taken the parts of a level all come before those of the next; from then on what is refused is
cut at once. When no part of a level is taken, it is not some samples that are refused but all,
as when an earlier owner of the series has told a tick already, and the search is given up.

Bound: ``2 ** (levels + 1) - 1`` requests without one that is taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from consumer.remote_write.request import EncodedRequest

LEVELS = 4
"""Of sixteen parts one is taken whenever fewer samples than that are bad."""

LEVELS_AFTERWARDS = 2
"""For what follows one that was refused as a whole."""


class Search:
    """``parts`` are still to be sent; they are samples or zero samples, not both."""

    def __init__(self, levels: int) -> None:
        self.parts: deque[EncodedRequest] = deque()
        self._patience = 2 ** (levels + 1) - 1
        self._refused = 0
        self._has_taken = False

    @property
    def is_hopeless(self) -> bool:
        """Whether no part of the last level was taken."""
        return not self._has_taken and self._refused >= self._patience

    def cut(self, parts: Sequence[EncodedRequest]) -> None:
        """A part was refused, and ``parts`` are to be sent in its place."""
        self._refused += 1
        if self._has_taken:
            self.parts.extendleft(reversed(parts))
        else:
            self.parts.extend(parts)

    def replace(self, parts: Sequence[EncodedRequest]) -> None:
        """Send ``parts`` in place of one that was neither taken nor refused for its samples."""
        self.parts.extendleft(reversed(parts))

    def finish(self, *, taken: bool) -> None:
        """A part was taken, or refused and is not cut."""
        self._has_taken |= taken
        self._refused += not taken
