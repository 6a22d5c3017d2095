"""What is wrong with a record, or with some of the traces in it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from consumer.decode.interface import (
    BYTES_A_SPAN,
    FREE_SPANS,
    MALFORMED_PROTOBUF,
    TOO_MANY_SPANS,
    Failure,
    most_spans,
)
from consumer.decode.messages import PUSH_BYTES

MOST_TEXTS = 10
"""Broken traces of one record that its failure explains; the others are counted."""


class UndecodableError(Exception):
    """A `TracesData` is of no use; ``reason`` is one of :data:`REASONS`."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def malformed(text: str) -> UndecodableError:
    """Not protobuf."""
    return UndecodableError(MALFORMED_PROTOBUF, text)


def too_many_spans(size_bytes: int) -> UndecodableError:
    """More spans than a `TracesData` of this size may hold."""
    bound = f"{FREE_SPANS:,} and one for each {BYTES_A_SPAN} of its {size_bytes:,} bytes"
    return UndecodableError(TOO_MANY_SPANS, f"more than {most_spans(size_bytes):,} spans: {bound}")


def failed_record(record: int, value: bytes, error: UndecodableError) -> Failure:
    """Nothing of the record can be decoded."""
    return Failure(record, error.reason, str(error), value)


class BrokenTraces:
    """The traces of a sound `PushBytesRequest` that cannot be decoded.

    Bound: of each its index; of the first :data:`MOST_TEXTS` also what is wrong.
    """

    def __init__(self, indices: bytes = b"", first: Iterable[UndecodableError] = ()) -> None:
        """``indices`` as native uint64; ``first``: at most :data:`MOST_TEXTS` explanations."""
        self._indices = array("Q", indices)
        self._first = list(first)

    def __len__(self) -> int:
        return len(self._indices)

    def add(self, index: int, error: UndecodableError) -> None:
        """Trace ``index`` cannot be decoded."""
        self._indices.append(index)
        if len(self._first) < MOST_TEXTS:
            self._first.append(error)

    def failure(self, record: int, value: bytes) -> Failure:
        """What is wrong with the record, and what is left of it."""
        request = PUSH_BYTES.FromString(value)
        broken = PUSH_BYTES(skip_metrics_generation=request.skip_metrics_generation)
        broken.traces.extend(request.traces[index] for index in self._indices)
        # The other indices have no text.
        explained = zip(self._indices, self._first, strict=False)
        texts = [f"trace {index}: {error}" for index, error in explained]
        if len(self) > MOST_TEXTS:
            texts.append(f"and {len(self) - MOST_TEXTS:,} more traces")
        return Failure(record, self._first[0].reason, "; ".join(texts), broken.SerializeToString())
