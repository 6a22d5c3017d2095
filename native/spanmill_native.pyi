# ruff: noqa: PYI021  the stub is the interface: this is the place to describe it
"""Walks the wire format of OTLP traces; knows nothing of policy (see src/lib.rs)."""

from collections.abc import Buffer, Sequence
from typing import Protocol, final

class Projection(Protocol):
    """What to read, as `processors.batch.Projection` has it. Keys of one list are distinct."""

    @property
    def resource_keys(self) -> Sequence[str]: ...
    @property
    def span_keys(self) -> Sequence[str]: ...
    @property
    def typed_resource_keys(self) -> Sequence[str]: ...
    @property
    def typed_span_keys(self) -> Sequence[str]: ...
    @property
    def all_resource_attributes(self) -> bool: ...
    @property
    def status_message(self) -> bool: ...
    @property
    def trace_state(self) -> bool: ...
    @property
    def links(self) -> bool: ...

@final
class Walker:
    """Built from what to read; keeps its buffers, but nothing else, between batches."""

    def __new__(cls, projection: Projection, *, push_bytes: bool) -> Walker:
        """``push_bytes``: records are Tempo's `PushBytesRequest`."""

    def walk(self, values: list[bytes]) -> Columns:
        """Read a batch of records, without the GIL. Raises nothing for what they hold.

        Raises :class:`RuntimeError` when another thread is inside the same walker.
        """

@final
class Fault:
    """A record that cannot be decoded, or not all of it."""

    record: int
    traces: bytes
    """uint64: which traces of a `PushBytesRequest` cannot be; empty: the record itself."""
    details: list[tuple[int, int, str | None]]
    """Of the record or the first ten traces: size, byte where it stops making sense, what is
    wrong there (None: there are too many spans)."""

@final
class Columns:
    """One batch. Columns are arrays of native numbers as bytes; codes are uint32.

    ``strings``: text of each code; 0 stands for "not there", 1 for "". What is not UTF-8
    is decoded with surrogateescape and false in ``valid`` (bool).
    """

    strings: list[str]
    valid: bytes
    faults: list[Fault]
    skip: bytes
    """bool, one a record."""
    spans: bytes
    """int64, one a record; 0 for those that failed."""

    resource_record: bytes
    """uint32, one a resource."""
    resource_attributes: list[bytes]
    """A column of codes for each of ``resource_keys``."""
    resource_typed: list[bytes]
    """And for each of ``typed_resource_keys``."""
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
    typed: list[bytes]
    """And for each of ``typed_span_keys``."""
    status_message: bytes
    """Codes; empty when not asked for."""
    trace_state: bytes
    """Likewise."""
    link_offsets: bytes
    """int64, one more than spans when asked for; into the next two."""
    link_trace_id: bytes
    """uint64, two a link"""
    link_span_id: bytes
    """uint64"""

@final
class Pairing:
    """The twin of `processors.python_pairing`; their interface is `processors.pairing`."""

    def __new__(cls, *, max_remembered: int) -> Pairing: ...
    def push(
        self,
        first: int,
        halves: tuple[Buffer, Buffer, Buffer, Buffer],
        records: tuple[Buffer, Buffer, Buffer],
        limits: tuple[int, int],
    ) -> list[bytes]:
        """Take ``own``, ``parent``, ``side``, ``tenant`` and ``starts``, ``lane``, ``time_ms``.

        ``limits``: ``wait_ms`` and ``max_pending``.

        Runs without the GIL. Returns the columns of `Pairs` in their order, each int64; the
        first two are flat. Raises :class:`ValueError` for numbers that do not go on, and
        columns that do not fit together; :class:`RuntimeError` when another thread is inside.
        """

    def advance(self, lane: int, time_ms: int) -> list[bytes]:
        """The same columns."""

    def close(self, lane: int) -> bytes:
        """Numbers, each int64."""

    def pending(self) -> int: ...
    def remembered(self) -> int: ...
    def oldest(self) -> int | None: ...

def group(columns: Sequence[Buffer]) -> tuple[bytes, bytes]:
    """Find the group of each row, and the first row of each group, which orders them (int64).

    ``columns`` are uint32 and contiguous; rows of a group have equal values in all. Raises
    :class:`ValueError` for columns of different lengths, :class:`BufferError` for others
    than described.
    """

def greatest(cell: Buffer, values: Buffer) -> tuple[bytes, bytes]:
    """Find the first row with the greatest value of each cell, ordered by cell (int64).

    And all rows of the cells that have several of them, ordered by cell, then row. ``cell``
    (int64, from 0 up) and ``values`` (float64) are contiguous; rows of NaN are left out.
    Takes memory for the greatest cell. Raises :class:`ValueError` for columns of different
    lengths and for cells below 0.
    """

def observe(
    groups: tuple[Buffer, int],
    values: Buffer,
    bounds: Sequence[float],
    weights: Buffer | None,
) -> tuple[bytes, bytes]:
    """Make the histogram of each group (float64), and find the bucket of each value (int32).

    ``groups`` are the group of each row (int64) and their number; ``values`` and ``weights``
    are float64. See `processors.histograms.observe`. Raises :class:`ValueError` for columns
    of different lengths and groups that are not there.
    """

def add_rows(values: Buffer, place: Buffer, added: Buffer) -> None:
    """Add each row of ``added`` to the row of ``values`` at its ``place``, which it changes.

    ``values`` (float64[room, w]), ``added`` (float64[n, w]) and ``place`` (int64[n], below 0
    for what is left out) are contiguous. Raises, and adds nothing, :class:`ValueError` for
    rows of another width or number, :class:`BufferError` for others than described or that
    are read-only, and :class:`IndexError` for a place beyond the room.
    """

@final
class SlotIndex:
    """Numbers for rows of ``width`` uint32; those of rows that are gone are given again."""

    end: int
    """The first slot that was never given."""

    def __new__(cls, width: int) -> SlotIndex: ...
    def __len__(self) -> int: ...
    def find(self, rows: Buffer) -> bytes:
        """Find the slot of each row (uint32, contiguous), -1 where it has none (int64)."""

    def make(self, rows: Buffer) -> bytes:
        """Find the slot of each row, or give it one (int64)."""

    def free(self, slots: Buffer) -> None:
        """Free slots in use (int64). Raises :class:`KeyError` for others."""

    def rename(self, table: Buffer) -> None:
        """Let the slots in use have the rows that stand at their place in ``table`` (uint32)."""

@final
class Fragments:
    """Bytes by code."""

    def __new__(cls) -> Fragments: ...
    def missing(self, codes: Buffer) -> bytes:
        """Find those of ``codes`` (uint32) never asked for before, each once (uint32)."""

    def put(self, codes: Sequence[int], fragments: Sequence[bytes]) -> None:
        """Set the bytes of each code; without them it is empty."""

def write_series(
    rows: int,
    parts: Sequence[bytes | tuple[Fragments, Buffer]],
    samples: tuple[int, Buffer, Buffer | None, Buffer | None] | None,
    rest: tuple[
        Sequence[bytes] | None,
        tuple[Buffer, Buffer, Buffer, Sequence[tuple[bytes, Buffer]]] | None,
    ],
    framing: tuple[int, int | None, bytes],
) -> tuple[bytes, bytes]:
    """Write ``rows`` fields with the first tag of ``framing``; where each ends (int64).

    Each has its ``parts``, the same bytes for all or those of a code (uint32), in a field of
    its own if ``framing`` has a tag for that; then its samples, the ``rest`` (a tail of each,
    and exemplars), and what ends ``framing``. ``samples``: a time in ms, the bits of the
    values (uint64), the time of a zero sample before it (int64, the least number for none),
    and since when it counts (int64, 0 for none). Exemplars: the row of each (int64,
    ascending), the bits of its value (uint64), its time in ms (int64), and its labels: what
    comes before, then numbers (uint64, equally many for each) in hexadecimal. Raises
    :class:`ValueError` for columns that do not fit.
    """
