"""What waits for one tenant at one endpoint."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain

from consumer.remote_write.client import Trouble
from consumer.remote_write.delivery import Delivery
from consumer.remote_write.metadata import Family
from consumer.remote_write.request import EncodedRequest
from consumer.remote_write.search import LEVELS, LEVELS_AFTERWARDS, Search
from consumer.remote_write.series import SeriesBlock

# Per tick of a shard. To find one sample among 2000 takes 11 splits, so these find some
# ten, at the price of 256 requests at most. Zero samples are worth less: a quarter.
_MAX_SPLITS = 128
_MAX_ZERO_SPLITS = 32
_STUCK = 3


class Turn(Enum):
    """What a lane was taken for."""

    SEND = "send"
    COLLAPSE = "collapse"


@dataclass(slots=True, eq=False)
class Share:
    """One tenant's part of a tick. ``kept`` is what a collapsed tick left behind.

    ``families`` are to be told as metadata, after the samples.
    """

    time_ms: int
    blocks: Sequence[SeriesBlock]
    delivery: Delivery | None = None
    kept: bool = False
    families: Sequence[Family] = ()
    samples: int = field(init=False)
    size_bytes: int = field(init=False)
    """Of the columns; the strings are the registry's."""

    def __post_init__(self) -> None:
        self.samples = sum(len(block) for block in self.blocks)
        self.size_bytes = _size_bytes(self.blocks)

    def settle(self) -> None:
        """Nobody needs to wait for this share any more."""
        if self.delivery is not None:
            self.delivery.settle_part()
            self.delivery = None


@dataclass(slots=True, eq=False)
class Lane:
    """What waits for one tenant; the first share is being sent.

    ``requests`` encodes the head share, ``request`` is the one to be sent now, after
    ``attempts`` failures, and ``parts`` are to be sent next, before those still to be
    encoded; those of a ``search`` go before them. ``samples`` counts what waits, zero samples
    left out. No turn comes to a lane that is ``held``; one that ``hurries`` has its next at once.
    """

    tenant: str
    shard: int = 0
    shares: deque[Share] = field(default_factory=deque)
    requests: Iterator[EncodedRequest] | None = None
    request: EncodedRequest | None = None
    parts: deque[EncodedRequest] = field(default_factory=deque)
    search: Search | None = None
    splits: Counter[bool] = field(default_factory=Counter)
    given_up: set[bool] = field(default_factory=set)
    """Of what the head share had a request that was refused as a whole: ``True`` zero samples."""
    attempts: int = 0
    trouble: Trouble | None = None
    failing_since_s: float = 0.0
    samples: int = 0
    done_samples: int = 0
    taken: bool = False
    held: bool = False
    hurries: bool = False
    turn: int = 0
    ready_s: float = 0.0

    @property
    def ticks(self) -> int:
        """How many whole ticks wait, the one being sent included."""
        return sum(not share.kept for share in self.shares)

    @property
    def is_stuck(self) -> bool:
        """Whether one failure followed another, so that it is no accident."""
        return self.attempts >= _STUCK

    @property
    def size_bytes(self) -> int:
        """What the shares take that wait."""
        return sum(share.size_bytes for share in self.shares)

    def samples_before(self, time_ms: int) -> int:
        """What waits of older shares than the newest tick, which came at ``time_ms``."""
        newest = self.shares[-1] if self.shares else None
        if newest is None or newest.time_ms < time_ms:
            return self.samples
        return self.samples - newest.samples if len(self.shares) > 1 else 0

    def fail(self, trouble: Trouble, now_s: float) -> None:
        """The request has to be tried again."""
        self.attempts += 1
        if self.trouble is None or self.trouble.is_the_tenants:
            self.failing_since_s = now_s
        self.trouble = trouble

    def may_split(self, request: EncodedRequest) -> bool:
        """Whether to look for what is refused in ``request``; each yes costs two requests."""
        is_zeros = not request.series
        most = _MAX_ZERO_SPLITS if is_zeros else _MAX_SPLITS
        if request.samples < 2 or self.splits[is_zeros] >= most:
            return False
        self.splits[is_zeros] += 1
        return True

    def next_part(self) -> EncodedRequest | None:
        """Take out what is to be sent next, if anything is encoded."""
        parts = self.parts if self.search is None else self.search.parts
        return parts.popleft() if parts else None

    def replace_request(self, parts: Sequence[EncodedRequest], *, refused: bool = False) -> None:
        """Send ``parts`` instead of the present request, ``refused`` for some of its samples."""
        request = self.request
        is_mixed = request is not None and 0 < request.series < request.samples
        if refused and self.search is None and request is not None and not is_mixed:
            is_again = (not request.series) in self.given_up
            self.search = Search(LEVELS_AFTERWARDS if is_again else LEVELS)
        if self.search is None:
            self.parts.extendleft(reversed(parts))
        elif refused:
            self.search.cut(parts)
        else:
            self.search.replace(parts)
        self._clear_request()

    def finish_request(self, request: EncodedRequest, *, taken: bool = True) -> None:
        """The request is delivered or rejected for good."""
        self._clear_request()
        self._done(request)
        if self.search is not None:
            self.search.finish(taken=taken)

    def end_search(self) -> Sequence[EncodedRequest]:
        """End the search if it is over; what is given up of it is returned and not sent."""
        if self.search is None:
            return ()
        left = tuple(self.search.parts) if self.search.is_hopeless else ()
        if left or not self.search.parts:
            self.search = None
        for part in left:
            self.given_up.add(not part.series)
            self._done(part)
        return left

    def _clear_request(self) -> None:
        self.request = None
        self.attempts = 0
        self.trouble = None

    def _done(self, request: EncodedRequest) -> None:
        self.done_samples += request.series
        self.samples -= request.series

    def pop(self) -> Share:
        """Take the head share out; what it had left is done with."""
        share = self.shares.popleft()
        self.samples -= share.samples - self.done_samples
        self.done_samples = 0
        self.requests = None
        self.request = None
        self.parts.clear()
        self.search = None
        self.splits.clear()
        self.given_up.clear()
        self.attempts = 0
        return share

    def oldest_waiting(self) -> int | None:
        """Index of the oldest whole tick behind the head that has a later one behind it."""
        whole = [index for index, share in enumerate(self.shares) if index and not share.kept]
        return whole[0] if len(whole) > 1 else None


def _size_bytes(blocks: Iterable[SeriesBlock]) -> int:
    """What the columns of ``blocks`` take; one that several of them share counts once."""
    columns = chain.from_iterable(block.columns for block in blocks)
    return sum({id(column): column.nbytes for column in columns}.values())
