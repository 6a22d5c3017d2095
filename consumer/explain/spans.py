"""The spans that come in, numbered, so that each can be told apart further on.

Bound: an object a span; `explain` is for files, not for streams.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consumer.decode import Decoded, Decoder, RawRecords
from processors.batch import SpanBatch
from processors.enums import kind_text, status_text

NUMBER = "\0number"
"""Key of the column of span numbers, among those of attributes; no configuration can ask for
a key like that, and filters of batches keep it."""


@dataclass(frozen=True, slots=True)
class SeenSpan:
    """A span as it came; ids in hex (digests of ids of odd length), times in ns."""

    number: int
    file: str
    record: int
    record_ms: int
    """The timestamp of the record; 0 where it is not known."""
    tenant: str
    trace_id: str
    span_id: str
    parent_id: str
    """Empty for a root."""
    name: str
    kind: str
    status: str
    service: str | None
    start_ns: int
    end_ns: int


class SeenSpans:
    """All spans so far, and who names whom as parent."""

    def __init__(self) -> None:
        self.file = ""
        """Where the spans that come next are from."""
        self.batch: SpanBatch | None = None
        """The last batch, with the column :data:`NUMBER`."""
        self._spans: list[SeenSpan] = []
        self._by_id: dict[str, list[int]] = defaultdict(list)
        self._children: dict[str, list[int]] = defaultdict(list)
        self._last_end_ns: dict[tuple[str, int], int] = defaultdict(int)
        """By file and record."""

    def __len__(self) -> int:
        return len(self._spans)

    def __iter__(self) -> Iterator[SeenSpan]:
        return iter(self._spans)

    def __getitem__(self, number: int) -> SeenSpan:
        return self._spans[number]

    def take(self, batch: SpanBatch) -> SpanBatch:
        """``batch`` with the numbers of its spans."""
        first = len(self._spans)
        numbers = np.arange(first, first + len(batch), dtype=np.uint32)
        for span in _seen(batch, self.file, first):
            self._spans.append(span)
            self._by_id[span.span_id].append(span.number)
            if span.parent_id:
                self._children[span.parent_id].append(span.number)
            of_record = (span.file, span.record)
            self._last_end_ns[of_record] = max(self._last_end_ns[of_record], span.end_ns)
        self.batch = replace(batch, attributes={**batch.attributes, NUMBER: numbers})
        return self.batch

    def parents_of(self, span: SeenSpan) -> Sequence[SeenSpan]:
        """The spans, of any trace and tenant, with the id that ``span`` names as parent."""
        numbers = self._by_id.get(span.parent_id, ()) if span.parent_id else ()
        return [self._spans[number] for number in numbers]

    def children_of(self, span: SeenSpan) -> Sequence[SeenSpan]:
        """The spans of the same trace and tenant that name ``span`` as parent."""
        found = (self._spans[number] for number in self._children.get(span.span_id, ()))
        return [each for each in found if is_of_one_trace(each, span)]

    def before_record_ns(self, span: SeenSpan) -> int:
        """How long before the last span of its record ``span`` ended."""
        return self._last_end_ns[span.file, span.record] - span.end_ns


def is_of_one_trace(one: SeenSpan, other: SeenSpan) -> bool:
    """Whether two spans can belong together at all."""
    return (one.tenant, one.trace_id) == (other.tenant, other.trace_id)


class NumberingDecoder:
    """A :class:`consumer.decode.Decoder` whose spans are taken note of."""

    def __init__(self, decoder: Decoder, spans: SeenSpans) -> None:
        self._decoder = decoder
        self._spans = spans
        self.implementation = decoder.implementation

    def decode(self, records: RawRecords) -> Decoded:
        """Decode all records, and number the spans."""
        decoded = self._decoder.decode(records)
        return replace(decoded, batch=self._spans.take(decoded.batch))


def numbers_of(batch: SpanBatch) -> NDArray[np.uint32]:
    """The number of each span of ``batch`` (uint32[n])."""
    return batch.attributes[NUMBER]


def _seen(batch: SpanBatch, file: str, first: int) -> Iterator[SeenSpan]:
    text = batch.strings.text
    columns = (
        batch.record, batch.records.time_ms[batch.record], batch.tenant(),
        batch.trace_id, batch.span_id, batch.parent_id, batch.is_root,
        batch.name, batch.kind, batch.status, batch.service(),
        batch.start_ns, batch.end_ns,
    )  # fmt: skip
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for number, row in enumerate(rows, first):
        record, record_ms, tenant, trace, own, parent, is_root, *of_span = row
        name, kind, status, service, start, end = of_span
        yield SeenSpan(
            number=number,
            file=file,
            record=record,
            record_ms=record_ms,
            tenant=batch.records.tenants[tenant],
            trace_id="".join(f"{part:016x}" for part in trace),
            span_id=f"{own:016x}",
            parent_id="" if is_root else f"{parent:016x}",
            name=shown(text[name]),
            kind=kind_text(kind).removeprefix("SPAN_KIND_").lower(),
            status=status_text(status).removeprefix("STATUS_CODE_").lower(),
            service=shown(text[service]) if service else None,
            start_ns=start,
            end_ns=end,
        )


def shown(text: str) -> str:
    """``text`` with marks in place of bytes that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
