# ruff: noqa: PYI021  the stub is the interface: this is the place to describe it
"""Walks the wire format of OTLP traces; knows nothing of policy (see src/lib.rs)."""

from typing import final

@final
class Walker:
    """Built from what to read; keeps its buffers, but nothing else, between batches."""

    def __new__(
        cls,
        *,
        span_keys: list[bytes],
        resource_keys: list[bytes],
        all_resource_attributes: bool,
        status_message: bool,
        push_bytes: bool,
    ) -> Walker:
        """Keys must be distinct. ``push_bytes``: records are Tempo's `PushBytesRequest`."""

    def walk(self, values: list[bytes]) -> Columns:
        """Read a batch of records, without the GIL. Raises nothing for what they hold.

        Raises :class:`RuntimeError` when another thread is inside the same walker.
        """

@final
class Columns:
    """One batch. Columns are arrays of native numbers as bytes; codes are uint32.

    ``strings``: text of each code; 0 stands for "not there", 1 for "". What is not UTF-8
    is decoded with surrogateescape and false in ``valid`` (bool).
    """

    strings: list[str]
    valid: bytes
    failures: list[tuple[int, int, str]]
    """Index of the record, byte offset in it, what is wrong there."""

    skip: bytes
    """bool, one a record."""
    spans: bytes
    """int64, one a record; 0 for those that failed."""

    resource_attributes: list[bytes]
    """A column of codes for each of ``resource_keys``."""
    all_offsets: bytes
    """int64, one more than resources; into the next two."""
    all_keys: bytes
    all_values: bytes

    record: bytes
    """uint32, one a span, as all that follow."""
    resource: bytes
    """uint32"""
    name: bytes
    kind: bytes
    """int32"""
    status: bytes
    """int32"""
    start_ns: bytes
    """uint64"""
    end_ns: bytes
    """uint64"""
    size_bytes: bytes
    """int64"""
    trace_id: bytes
    """uint64, two a span"""
    span_id: bytes
    """uint64"""
    parent_id: bytes
    """uint64"""
    is_root: bytes
    """bool"""
    attributes: list[bytes]
    """A column of codes for each of ``span_keys``."""
    status_message: bytes
    """Codes; empty when not asked for."""
