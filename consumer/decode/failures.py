"""What is wrong with a record, or with some of the traces in it."""

from __future__ import annotations

from collections.abc import Mapping

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


def failed_traces(record: int, value: bytes, errors: Mapping[int, UndecodableError]) -> Failure:
    """Some traces of a sound `PushBytesRequest` cannot be decoded: ``errors``, by index."""
    request = PUSH_BYTES.FromString(value)
    broken = PUSH_BYTES(
        traces=[request.traces[index] for index in errors],
        skip_metrics_generation=request.skip_metrics_generation,
    )
    texts = [f"trace {index}: {error}" for index, error in errors.items()]
    if len(texts) > MOST_TEXTS:
        texts[MOST_TEXTS:] = [f"and {len(texts) - MOST_TEXTS:,} more traces"]
    first = next(iter(errors.values()))
    return Failure(record, first.reason, "; ".join(texts), broken.SerializeToString())
