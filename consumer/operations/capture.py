"""`spanmill capture`: the newest records of the span topic as a file.

The file is what `preview`, `explain` and `forecast` read. Nothing is committed, and no group
is joined. All records that are kept are held in memory, at most as many as are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from consumer.config.blocks import KafkaConfig
from consumer.errors import InputError
from consumer.files.otlp_files import Place, as_file, as_places, places_file
from consumer.kafka.client import IncomingRecord
from consumer.kafka.intake import IntakeSettings, tenants_of


class Reader(Protocol):
    """A topic from which records can be read, such as `kafka.reader.TopicReader`."""

    topic: str

    def bounds(self) -> Mapping[int, tuple[int, int]]:
        """(the first offset, the one after the last record) of each partition."""
        ...

    def read(self, spans: Mapping[int, tuple[int, int]]) -> Iterator[Sequence[IncomingRecord]]:
        """The records of ``spans``: by partition, the first offset and the one after the last."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """The newest ``records`` of the topic, and of those the ones of ``tenant``, or of all."""

    records: int
    tenant: str | None = None


def run_capture(
    kafka: KafkaConfig, reader: Reader, wanted: Wanted, file: Path, echo: Callable[[str], None]
) -> None:
    """Write ``file``, which must not exist yet, with the places beside it; say what is in it.

    Each partition gives an equal share of the records, which then stand in the order of
    their timestamps. Raises :class:`InputError` for a file that cannot be written, and where
    there is no record.
    """
    for each in (file, places_file(file)):
        if each.exists():
            raise InputError(f"{each}: it exists already")
    shares = _shares(reader.bounds(), wanted.records)
    settings = IntakeSettings.of(kafka)
    records = [
        record
        for batch in reader.read(shares)
        for record in _of_tenant(batch, settings, wanted.tenant)
    ]
    if not records:
        of_tenant = f" of tenant {wanted.tenant}" if wanted.tenant else ""
        raise InputError(f"topic {reader.topic}: no record{of_tenant} in what was read")
    records.sort(key=lambda record: (record.time_ms, record.partition, record.offset))
    values = [record.value for record in records]
    places = [Place(record.time_ms, record.partition, record.offset) for record in records]
    try:
        file.write_bytes(as_file(values, is_json=kafka.encoding == "otlp_json"))
        places_file(file).write_bytes(as_places(places))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    partitions = {record.partition for record in records}
    echo(
        f"{file}: {len(records)} records of {len(partitions)} partitions, "
        f"written to Kafka from {_time(records[0].time_ms)} to {_time(records[-1].time_ms)}"
    )


def _shares(bounds: Mapping[int, tuple[int, int]], records: int) -> Mapping[int, tuple[int, int]]:
    """The newest offsets of each partition, ``records`` in all; more where they are fewer."""
    share = max(1, records // max(1, len(bounds)))
    return {number: (max(first, end - share), end) for number, (first, end) in bounds.items()}


def _of_tenant(
    batch: Sequence[IncomingRecord], settings: IntakeSettings, tenant: str | None
) -> Iterator[IncomingRecord]:
    """The records of ``batch`` that are of ``tenant``, or all whose tenant makes sense."""
    for record, name in zip(batch, tenants_of(batch, settings), strict=True):
        if name is not None and tenant in (None, name):
            yield record


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
