"""One request ready to be sent, and what can be made of it when it is not taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

Dropped = Callable[[str, int], None]
"""Told of a reason and the number of samples that are left out for it."""


class Message(Enum):
    """The message a request holds, as Prometheus' ``protobuf_message`` names it."""

    V1 = "prometheus.WriteRequest"
    V2 = "io.prometheus.write.v2.Request"


class Origin(Protocol):
    """What a request was made of."""

    def split(self) -> Sequence[EncodedRequest]:
        """Smaller requests that say the same in this order; none if it is one sample."""
        ...

    def as_v1(self) -> Sequence[EncodedRequest]:
        """The same as requests of 1.0."""
        ...

    def example(self) -> str:
        """One of its series as people write it."""
        ...


@dataclass(frozen=True, slots=True)
class EncodedRequest:
    """One request: a compressed message and what it holds.

    ``samples`` counts all samples, ``series`` those that are no zero samples; a request
    without any holds zero samples alone. ``histograms`` are those of ``samples`` that are
    native histograms; ``exemplars`` come besides. A request with ``metadata`` (families) has
    nothing else.
    """

    body: bytes
    series: int
    samples: int
    message: Message = Message.V1
    histograms: int = 0
    exemplars: int = 0
    metadata: int = 0
    origin: Origin | None = field(default=None, repr=False, compare=False)

    def split(self) -> Sequence[EncodedRequest]:
        """See :meth:`Origin.split`."""
        return self.origin.split() if self.origin else ()

    def as_v1(self) -> Sequence[EncodedRequest]:
        """See :meth:`Origin.as_v1`."""
        return self.origin.as_v1() if self.origin else ()

    def example(self) -> str:
        """See :meth:`Origin.example`."""
        return self.origin.example() if self.origin else ""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a request may grow: samples, and bytes before compression."""

    samples: int
    size_bytes: int
