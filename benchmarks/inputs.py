"""Files of spans as the batches that a worker would get from Kafka."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from consumer.decode import Encoding, RawRecords, open_decoder
from consumer.errors import InputError
from consumer.files.otlp_files import read_records
from processors.batch import Projection

BETWEEN_MS = 90_000
"""From one minute to the next: a shop's spans end within 80 s of its first one."""


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one file.

    ``spans``: of each record (int64[m]). ``time_ms``: when it was written, which is when
    its last span ended (int64[m]). Record ``i`` is of tenant ``i`` modulo their number.
    """

    encoding: Encoding
    values: Sequence[bytes]
    spans: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    tenants: tuple[str, ...]

    def first(self, spans: int) -> Records:
        """Enough of the first records to hold ``spans`` spans, or all there are."""
        count = 1 + int(np.searchsorted(np.cumsum(self.spans), spans))
        return Records(
            self.encoding,
            self.values[:count],
            self.spans[:count],
            self.time_ms[:count],
            self.tenants,
        )

    def after(self, first: Records) -> Records:
        """These records without those of ``first``, with which they begin."""
        count = len(first.values)
        return Records(
            self.encoding,
            self.values[count:],
            self.spans[count:],
            self.time_ms[count:],
            self.tenants,
        )

    def batches(self, spans: int) -> list[RawRecords]:
        """All records in order, in batches that end with the record that fills them."""
        return [self._batch(start, end) for start, end in self._bounds(spans)]

    def _bounds(self, spans: int) -> Iterator[tuple[int, int]]:
        start = size = 0
        for index, count in enumerate(self.spans.tolist()):
            size += count
            if size >= spans:
                yield start, index + 1
                start, size = index + 1, 0
        if start < len(self.values):
            yield start, len(self.values)

    def _batch(self, start: int, end: int) -> RawRecords:
        return RawRecords(
            values=self.values[start:end],
            tenants=self.tenants,
            tenant=(np.arange(start, end) % len(self.tenants)).astype(np.uint32),
            time_ms=self.time_ms[start:end],
            lane=np.zeros(end - start, np.uint32),
        )


def read_input(path: Path, configured: Encoding, tenants: tuple[str, ...]) -> Records:
    """Everything in ``path`` that can be decoded.

    ``configured`` is the encoding of files that are not JSON lines. Raises
    :class:`InputError` where there are no spans.
    """
    is_json, values = read_records(path)
    encoding = Encoding.OTLP_JSON if is_json else configured
    count = len(values)
    raw = RawRecords(
        values=values,
        tenants=tenants,
        tenant=np.zeros(count, np.uint32),
        time_ms=np.zeros(count, np.int64),
        lane=np.zeros(count, np.uint32),
    )
    decoded = open_decoder(encoding, Projection()).decode(raw)
    if not len(decoded.batch):
        raise InputError(f"{path}: there are no spans in it")
    if decoded.failures:
        left_out = f"left out {len(decoded.failures)} of {count} records that cannot be decoded"
        sys.stderr.write(f"{path}: {left_out}\n")
    end_ns = np.zeros(count, np.uint64)
    np.maximum.at(end_ns, decoded.batch.record, decoded.batch.end_ns)
    failed = {failure.record for failure in decoded.failures}
    kept = [index for index in range(count) if index not in failed]
    return Records(
        encoding=encoding,
        values=[values[index] for index in kept],
        spans=decoded.spans_received[kept],
        time_ms=(end_ns[kept] // np.uint64(1_000_000)).astype(np.int64),
        tenants=tenants,
    )


def several(records: Records, minutes: int) -> Records:
    """``records`` of one minute over and over: each time later, and of other traces."""
    values: list[bytes] = []
    times = []
    for minute in range(minutes):
        later_ms = minute * BETWEEN_MS
        values += [_shifted(value, minute, later_ms) for value in records.values]
        times.append(records.time_ms + later_ms)
    return Records(
        records.encoding,
        values,
        np.tile(records.spans, minutes),
        np.concatenate(times),
        records.tenants,
    )


def _shifted(value: bytes, minute: int, later_ms: int) -> bytes:
    traces = TracesData.FromString(value)
    for resource_spans in traces.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                span.trace_id = bytes([span.trace_id[0] ^ minute]) + span.trace_id[1:]
                span.start_time_unix_nano += later_ms * 1_000_000
                span.end_time_unix_nano += later_ms * 1_000_000
    return traces.SerializeToString()
