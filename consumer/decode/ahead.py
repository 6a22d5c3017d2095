"""Decode-ahead: a thread decodes what is read next while the loop processes what was read before.

The native decoder walks record bytes without the GIL, so a second core can do that. What a
value becomes depends on its bytes alone: the loop asks for whatever it wants decoded, and
takes what the thread made of the very same values, or else decodes them itself. A wrong
expectation costs time, never a number.

Bounds: what is expected is forgotten with the second call of :meth:`DecodeAhead.expect` after
the one that named it. The loop never waits but for the values that it asks for, and those
only where the thread has begun with them, or is about to.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from consumer.decode import open_decoder
from consumer.decode.interface import Decoded, Decoder, Encoding, OpenDecoder, RawRecords
from consumer.extension import is_native
from processors.batch import Projection

CORES = 2
"""With fewer the thread would only take time from the loop."""

LEAST_BYTES = 1 << 20
"""Of record values: less is decoded in half a millisecond."""


@dataclass(frozen=True, slots=True)
class _Expected:
    values: Sequence[bytes]
    decoded: Future[Decoded]


class DecodeAhead:
    """A :class:`consumer.decode.Decoder` that can be told of what it will have to decode.

    The thread has a decoder of its own, since each serves one thread. :meth:`open` replaces
    both when something else is to be read. Belongs to one thread, the loop's.
    """

    def __init__(self, open_with: OpenDecoder, least_bytes: int = LEAST_BYTES) -> None:
        """With less than ``least_bytes`` of values it is not worth another thread's while."""
        self.least_bytes = least_bytes
        self._open_with = open_with
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decode-ahead")
        self._due: list[_Expected] = []
        """Told of before what is in ``_next``."""
        self._next: list[_Expected] = []

    def open(self, projection: Projection) -> Decoder:
        """This decoder, which reads ``projection`` from now on; nothing is expected any more."""
        self.expect(())
        self.expect(())
        self._own = self._open_with(projection)
        self._threads = self._open_with(projection)
        self.implementation = self._own.implementation
        return self

    def expect(self, values: Sequence[Sequence[bytes]]) -> None:
        """The values of batches that will be decoded after those that were named last."""
        for stale in self._due:
            stale.decoded.cancel()
        self._due = self._next
        self._next = [_Expected(each, self._begin(each)) for each in values]

    def decode(self, records: RawRecords) -> Decoded:
        """Decode all records (see :class:`consumer.decode.Decoder`)."""
        for expected in (self._due, self._next):
            for place, each in enumerate(expected):
                # Equal lists of the same objects are told by their addresses.
                if each.values == records.values:
                    del expected[place]
                    return each.decoded.result().of(records)
        return self._own.decode(records)

    def close(self) -> None:
        """End the thread, when it is done with what it has begun."""
        self._thread.shutdown(cancel_futures=True)

    def _begin(self, values: Sequence[bytes]) -> Future[Decoded]:
        return self._thread.submit(self._threads.decode, RawRecords.bare(values))


def open_ahead(encoding: Encoding, cores: float) -> DecodeAhead | None:
    """What decodes ahead, where that gains anything.

    It takes a second core, and a decoder that lets go of the GIL: that of protobuf in Rust.
    JSON is parsed by what holds it.
    """
    if cores < CORES or encoding is Encoding.OTLP_JSON or not is_native():
        return None
    return DecodeAhead(partial(open_decoder, encoding))
