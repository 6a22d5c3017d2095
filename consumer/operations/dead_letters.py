"""``spanmill dead-letters list`` and ``show``: what the dead-letter topic holds, in words."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from consumer.errors import InputError
from consumer.kafka.client import IncomingRecord
from consumer.text_table import table

OWN_HEADERS = "spanmill."
"""How the headers begin that were added to the record's own."""

REPLAYED = "spanmill.replayed"
"""Of a record that was sent again: the letter it was, as ``topic/partition/offset``."""

_HEAD = ("LETTER", "WRITTEN", "ORIGIN", "REASON", "TEXT")
_SHOWN_TEXT = 80
_SHOWN_BYTES = 256
_LINE_BYTES = 16

Echo = Callable[[str], None]


class LetterPlace(NamedTuple):
    """Where a letter lies in the dead-letter topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter. ``told`` are the headers that spanmill added, ``own`` the record's."""

    place: LetterPlace
    written_ms: int
    key: bytes | None
    value: bytes
    own: Sequence[tuple[str, bytes]]
    told: Mapping[str, str]

    @property
    def reason(self) -> str:
        """Why the record could not be decoded, in a word."""
        return self.told.get("error.class", "")

    @property
    def topic(self) -> str:
        """Where the record came from; empty if the letter does not say."""
        return self.told.get("origin.topic", "")

    @property
    def origin_ms(self) -> int:
        """The time of the record; 0 if the letter does not say."""
        text = self.told.get("origin.timestamp", "")
        return int(text) if text.isdecimal() else 0

    def origin(self) -> str:
        """Topic, partition and offset of the record."""
        names = ("origin.topic", "origin.partition", "origin.offset")
        return "/".join(self.told.get(name, "?") for name in names)


class Reader(Protocol):
    """Where letters come from; :class:`consumer.kafka.reader.TopicReader` is one."""

    topic: str

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def bounds(self) -> Mapping[int, tuple[int, int]]:
        """(the first offset, the one after the last record) of each partition."""
        ...

    def committed(self) -> Mapping[int, int]:
        """Before which offset everything was sent again."""
        ...

    def read(self, spans: Mapping[int, tuple[int, int]]) -> Iterator[Sequence[IncomingRecord]]:
        """The records of these offsets, in batches."""
        ...

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Everything before these offsets was sent again."""
        ...


class Letters:
    """The letters of a topic; ``span_topic`` is where records may be sent again."""

    def __init__(self, reader: Reader, span_topic: str) -> None:
        self._reader = reader
        self.topic = reader.topic
        self.span_topic = span_topic

    def __enter__(self) -> Self:
        self._reader.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.__exit__(kind, error, trace)

    def all(self) -> Iterator[Sequence[Letter]]:
        """Every letter, in batches."""
        yield from self._read(self._reader.bounds())

    def unsent(self) -> Iterator[Sequence[Letter]]:
        """Those that were not sent again yet, in batches."""
        yield from self._read(self._unsent())

    def at(self, places: Sequence[LetterPlace]) -> Sequence[Letter]:
        """The letters at ``places``. Raises :class:`InputError` where there is none."""
        bounds = self._reader.bounds()
        found: list[Letter] = []
        for place in places:
            first, end = bounds.get(place.partition, (0, 0))
            span = {place.partition: (place.offset, place.offset + 1)}
            here = [] if not first <= place.offset < end else [*self._read(span)]
            if not here:
                raise InputError(f"{self.topic} has no letter {place}")
            found += here[0]
        return found

    def sent(self, letters: Sequence[Letter]) -> None:
        """Remember that ``letters``, which came in order, were sent again."""
        self._reader.commit({letter.place.partition: letter.place.offset + 1 for letter in letters})

    def _unsent(self) -> Mapping[int, tuple[int, int]]:
        sent = self._reader.committed()
        return {
            number: (max(first, sent.get(number, first)), end)
            for number, (first, end) in self._reader.bounds().items()
        }

    def _read(self, spans: Mapping[int, tuple[int, int]]) -> Iterator[Sequence[Letter]]:
        for records in self._reader.read(spans):
            yield [_letter(record) for record in records]


def parse_place(text: str) -> LetterPlace:
    """``2:117``. Raises :class:`InputError`."""
    partition, _, offset = text.partition(":")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise InputError(f"found {text!r}, expected PARTITION:OFFSET, such as 2:117")
    return LetterPlace(int(partition), int(offset))


def run_list(letters: Letters, *, limit: int, reason: str, echo: Echo) -> None:
    """A line for each of the newest ``limit`` letters."""
    newest: deque[Letter] = deque(maxlen=limit)
    count = 0
    for batch in letters.all():
        chosen = [letter for letter in batch if reason in ("", letter.reason)]
        count += len(chosen)
        newest.extend(chosen)
    ordered = sorted(newest, key=lambda letter: (letter.written_ms, letter.place))
    rows = [
        (letter.place, _time(letter.written_ms), letter.origin(), letter.reason, _text(letter))
        for letter in ordered
    ]
    if rows:
        echo(table(_HEAD, rows).rstrip())
    shown = "" if count == len(rows) else f", the newest {len(rows)} are shown"
    echo(f"{count} dead letters in {letters.topic}{shown}")


def run_show(letters: Letters, place: LetterPlace, *, value: Path | None, echo: Echo) -> None:
    """Everything about one letter, and the beginning of its value."""
    [letter] = letters.at([place])
    key = None if letter.key is None else letter.key.decode("utf-8", "backslashreplace")
    rows = [
        ("letter", f"{letters.topic}/{place.partition}/{place.offset}"),
        ("written", _time(letter.written_ms)),
        ("origin", letter.origin()),
        ("record time", _time(letter.origin_ms)),
        ("reason", letter.reason),
        ("text", letter.told.get("error.text")),
        ("sent before", letter.told.get("replayed")),
        ("by version", letter.told.get("version")),
        ("key", key),
        *((f"header {n}", v.decode("utf-8", "backslashreplace")) for n, v in letter.own),
        ("bytes", len(letter.value)),
    ]
    for name, shown in rows:
        echo(f"{name:<12}  {'-' if shown is None else shown}")
    for line in _dump(letter.value):
        echo(line)
    if value is not None:
        value.write_bytes(letter.value)
        echo(f"the value is in {value}")


def _letter(record: IncomingRecord) -> Letter:
    told = {
        name.removeprefix(OWN_HEADERS): value.decode("utf-8", "replace")
        for name, value in record.headers
        if name.startswith(OWN_HEADERS)
    }
    return Letter(
        place=LetterPlace(record.partition, record.offset),
        written_ms=record.time_ms,
        key=record.key,
        value=record.value,
        own=[pair for pair in record.headers if not pair[0].startswith(OWN_HEADERS)],
        told=told,
    )


def _time(time_ms: int) -> str:
    if not time_ms:
        return "-"
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat(timespec="milliseconds")


def _text(letter: Letter) -> str:
    text = letter.told.get("error.text", "").replace("\n", " ")
    return text if len(text) <= _SHOWN_TEXT else f"{text[: _SHOWN_TEXT - 1]}…"


def _dump(value: bytes) -> Iterator[str]:
    for at in range(0, min(len(value), _SHOWN_BYTES), _LINE_BYTES):
        line = value[at : at + _LINE_BYTES]
        shown = "".join(chr(byte) if " " <= chr(byte) <= "~" else "." for byte in line)
        yield f"{at:08x}  {line.hex(' '):<{3 * _LINE_BYTES}} {shown}"
    if len(value) > _SHOWN_BYTES:
        yield f"… {len(value) - _SHOWN_BYTES} bytes more; --value FILE writes them all"
