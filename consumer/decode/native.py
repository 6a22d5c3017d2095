"""The native decoder behind the :class:`consumer.decode.Decoder` interface.

The extension `spanmill_native` walks the wire format and knows nothing of policy; this
module gives its columns their names. Importing it fails where the extension is not built.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import spanmill_native

from consumer.decode.failures import (
    BrokenTraces,
    UndecodableError,
    failed_record,
    malformed,
    too_many_spans,
)
from consumer.decode.interface import Decoded, Encoding, Failure, RawRecords
from processors.batch import Codes, Links, Projection, Records, Resources, SpanBatch, Strings


class NativeDecoder:
    """A :class:`consumer.decode.Decoder` for the protobuf encodings; its columns are read-only."""

    implementation = "native"

    def __init__(self, encoding: Encoding, projection: Projection) -> None:
        self._projection = projection
        self._read = _distinct(projection)
        self._walker = spanmill_native.Walker(self._read, push_bytes=encoding is Encoding.TEMPO)

    def decode(self, records: RawRecords) -> Decoded:
        """Decode all records (see :class:`consumer.decode.Decoder`)."""
        columns = self._walker.walk(list(records.values))
        skip = np.frombuffer(columns.skip, np.bool_)
        table = Records(records.tenants, records.tenant, records.time_ms, records.lane, skip)
        return Decoded(
            batch=self._batch(columns, table),
            failures=[_failure(fault, records.values[fault.record]) for fault in columns.faults],
            spans_received=np.frombuffer(columns.spans, np.int64),
        )

    def _batch(self, columns: spanmill_native.Columns, records: Records) -> SpanBatch:
        wanted, read = self._projection, self._read
        message = np.frombuffer(columns.status_message, np.uint32)
        state = np.frombuffer(columns.trace_state, np.uint32)
        return SpanBatch(
            strings=Strings(columns.strings, np.frombuffer(columns.valid, np.bool_)),
            records=records,
            resources=self._resources(columns),
            record=np.frombuffer(columns.record, np.uint32),
            resource=np.frombuffer(columns.resource, np.uint32),
            name=np.frombuffer(columns.name, np.uint32),
            kind=np.frombuffer(columns.kind, np.int32),
            status=np.frombuffer(columns.status, np.int32),
            start_ns=np.frombuffer(columns.start_ns, np.uint64),
            end_ns=np.frombuffer(columns.end_ns, np.uint64),
            size_bytes=np.frombuffer(columns.size_bytes, np.int64),
            trace_id=np.frombuffer(columns.trace_id, np.uint64).reshape(-1, 2),
            span_id=np.frombuffer(columns.span_id, np.uint64),
            parent_id=np.frombuffer(columns.parent_id, np.uint64),
            is_root=np.frombuffer(columns.is_root, np.bool_),
            attributes=_by_key(read.span_keys, columns.attributes),
            status_message=message if wanted.status_message else None,
            typed=_by_key(read.typed_span_keys, columns.typed),
            trace_state=state if wanted.trace_state else None,
            links=_links(columns) if wanted.links else None,
        )

    def _resources(self, columns: spanmill_native.Columns) -> Resources:
        by_key = _by_key(self._read.resource_keys, columns.resource_attributes)
        return Resources(
            record=np.frombuffer(columns.resource_record, np.uint32),
            service=by_key["service.name"],
            attributes={key: by_key[key] for key in self._projection.resource_keys},
            all_offsets=np.frombuffer(columns.all_offsets, np.int64),
            all_keys=np.frombuffer(columns.all_keys, np.uint32),
            all_values=np.frombuffer(columns.all_values, np.uint32),
            typed=_by_key(self._read.typed_resource_keys, columns.resource_typed),
        )


def _distinct(projection: Projection) -> Projection:
    """``projection`` with `service.name`, and each key once."""
    return Projection(resource_keys=("service.name",)).union(projection)


def _by_key(keys: Sequence[str], columns: Sequence[bytes]) -> dict[str, Codes]:
    return {key: np.frombuffer(codes, np.uint32) for key, codes in zip(keys, columns, strict=True)}


def _links(columns: spanmill_native.Columns) -> Links:
    return Links(
        offsets=np.frombuffer(columns.link_offsets, np.int64),
        trace_id=np.frombuffer(columns.link_trace_id, np.uint64).reshape(-1, 2),
        span_id=np.frombuffer(columns.link_span_id, np.uint64),
    )


def _failure(fault: spanmill_native.Fault, value: bytes) -> Failure:
    errors = map(_error, fault.details)
    if not fault.traces:
        return failed_record(fault.record, value, next(errors))
    return BrokenTraces(fault.traces, errors).failure(fault.record, value)


def _error(detail: tuple[int, int, str | None]) -> UndecodableError:
    size_bytes, offset, what = detail
    return too_many_spans(size_bytes) if what is None else malformed(f"byte {offset}: {what}")
