"""Files of OTLP records, as the OpenTelemetry Collector's file exporter writes them.

Either JSON lines, or protobuf messages each preceded by its length in 4 bytes, big-endian.
JSON that goes over several lines, as people write it, is one record. Beside a file there may
be one with the places of its records in Kafka: :func:`places_of`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from consumer.errors import InputError

_LENGTH_BYTES = 4


def read_records(path: Path) -> tuple[bool, list[bytes]]:
    """(whether it is JSON, the values of all records of ``path``).

    Raises :class:`InputError` for a file that is missing, empty or cut off.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    if not content.strip():
        raise InputError(f"{path}: the file is empty")
    is_json = content.lstrip()[:1] == b"{"
    return is_json, list(_lines(content) if is_json else _messages(path, content))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands in its topic, and its timestamp."""

    time_ms: int
    partition: int
    offset: int


def places_of(path: Path) -> Sequence[Place] | None:
    """The places of the records of ``path``, ``None`` where nobody wrote them down.

    Raises :class:`InputError` where they make no sense.
    """
    beside = places_file(path)
    if not beside.exists():
        return None
    try:
        return [Place(**orjson.loads(line)) for line in _lines(beside.read_bytes())]
    except (orjson.JSONDecodeError, TypeError) as error:
        raise InputError(f"{beside}: expected a place of a record in each line: {error}") from error


def places_file(path: Path) -> Path:
    """Beside ``path``."""
    return path.with_name(f"{path.name}.places")


def as_places(places: Sequence[Place]) -> bytes:
    """What :func:`places_of` reads."""
    return b"".join(orjson.dumps(place) + b"\n" for place in places)


def as_file(values: Sequence[bytes], *, is_json: bool) -> bytes:
    """What :func:`read_records` takes apart into ``values`` again."""
    if is_json:  # a line break in JSON stands between its parts, never inside a text
        lines = (value.replace(b"\r", b" ").replace(b"\n", b" ") for value in values)
        return b"".join(line + b"\n" for line in lines)
    return b"".join(len(value).to_bytes(_LENGTH_BYTES, "big") + value for value in values)


def _lines(content: bytes) -> Iterator[bytes]:
    lines = [line for line in content.splitlines() if line.strip()]
    is_one = len(lines) > 1 and not _is_json(lines[0]) and _is_json(content)
    return iter([content] if is_one else lines)


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _messages(path: Path, content: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(content):
        start = position + _LENGTH_BYTES
        end = start + int.from_bytes(content[position:start], "big")
        if start > len(content) or end > len(content):
            raise InputError(
                f"{path}: the record at byte {position} says that it has {end - start} bytes, "
                f"but {max(0, len(content) - start)} follow; expected JSON lines, or messages "
                "with a 4-byte big-endian length before each"
            )
        yield content[start:end]
        position = end
