"""The newest records of a topic, as a file that the other commands read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from consumer.config.blocks import KafkaConfig
from consumer.errors import InputError
from consumer.files.otlp_files import as_file, places_of, read_records
from consumer.kafka.client import IncomingRecord, OutgoingRecord, RecordWriter, mock_cluster
from consumer.kafka.reader import TopicReader
from consumer.operations.capture import Wanted, run_capture

TIME_MS = 1_767_225_600_000


class FakeTopic:
    """Partitions of records in memory; ``asked`` is what was last read of each."""

    topic = "spans"

    def __init__(self, *partitions: Sequence[IncomingRecord]) -> None:
        self.partitions = partitions
        self.asked: Mapping[int, tuple[int, int]] = {}

    def bounds(self) -> Mapping[int, tuple[int, int]]:
        return {number: (0, len(records)) for number, records in enumerate(self.partitions)}

    def read(self, spans: Mapping[int, tuple[int, int]]) -> Iterator[Sequence[IncomingRecord]]:
        self.asked = spans
        for number, (first, end) in spans.items():
            yield self.partitions[number][first:end]


def record(
    partition: int, offset: int, *, at_s: int = 0, tenant: str = "", **more: Any
) -> IncomingRecord:
    headers = [("X-Scope-OrgID", tenant.encode())] if tenant else []
    value = more.pop("value", f"{partition}/{offset}".encode())
    return IncomingRecord(
        partition, offset, TIME_MS + at_s * 1_000, more.pop("key", None), value, headers
    )


def captured(file: Path, topic: FakeTopic, wanted: Wanted, **kafka: Any) -> tuple[Any, str]:
    """(what a command would read of the file, what was said)."""
    said: list[str] = []
    run_capture(KafkaConfig.model_validate(kafka), topic, wanted, file, said.append)
    return read_records(file), "\n".join(said)


def test_the_newest_of_each_partition_are_written_in_the_order_of_time(tmp_path: Path) -> None:
    topic = FakeTopic(
        [record(0, 0, at_s=1), record(0, 1, at_s=4), record(0, 2, at_s=9)],
        [record(1, 0, at_s=2), record(1, 1, at_s=3)],
    )
    file = tmp_path / "spans.otlp"
    read, said = captured(file, topic, Wanted(4))
    assert read == (False, [b"1/0", b"1/1", b"0/1", b"0/2"])
    assert topic.asked == {0: (1, 3), 1: (0, 2)}
    places = places_of(file)
    assert places is not None
    assert [(each.partition, each.offset) for each in places] == [(1, 0), (1, 1), (0, 1), (0, 2)]
    assert [each.time_ms - TIME_MS for each in places] == [2_000, 3_000, 4_000, 9_000]
    assert said == (
        f"{file}: 4 records of 2 partitions, "
        "written to Kafka from 2026-01-01T00:00:02Z to 2026-01-01T00:00:09Z"
    )


def test_a_tenant_is_known_by_header_key_or_default(tmp_path: Path) -> None:
    topic = FakeTopic([record(0, 0, tenant="acme"), record(0, 1), record(0, 2, tenant="a b")])
    of_acme, _ = captured(tmp_path / "a", topic, Wanted(9, "acme"))
    of_default, _ = captured(tmp_path / "b", topic, Wanted(9, "single-tenant"))
    of_all, _ = captured(tmp_path / "c", topic, Wanted(9))
    assert (of_acme[1], of_default[1]) == ([b"0/0"], [b"0/1"])
    assert of_all[1] == [b"0/0", b"0/1"]
    of_tempo = FakeTopic([record(0, 0, key=b"acme"), record(0, 1, key=b"other")])
    keyed, _ = captured(tmp_path / "d", of_tempo, Wanted(9, "acme"), encoding="tempo")
    assert keyed[1] == [b"0/0"]


def test_records_of_json_are_lines_whatever_breaks_they_have(tmp_path: Path) -> None:
    value = json.dumps({"resourceSpans": []}, indent=1).encode()
    topic = FakeTopic([record(0, 0, value=value), record(0, 1, value=value)])
    (is_json, values), _ = captured(tmp_path / "a", topic, Wanted(9), encoding="otlp_json")
    assert is_json
    assert [json.loads(line) for line in values] == [{"resourceSpans": []}] * 2


def test_nothing_is_overwritten_and_nothing_is_made_of_nothing(tmp_path: Path) -> None:
    file = tmp_path / "spans.otlp"
    with pytest.raises(InputError, match="topic spans: no record in what was read"):
        captured(file, FakeTopic([], []), Wanted(9))
    with pytest.raises(InputError, match="no record of tenant x in what was read"):
        captured(file, FakeTopic([record(0, 0)]), Wanted(9, "x"))
    assert not file.exists()
    with pytest.raises(InputError, match="No such file or directory"):
        captured(tmp_path / "nowhere" / "spans", FakeTopic([record(0, 0)]), Wanted(9))
    file.write_bytes(b"mine")
    with pytest.raises(InputError, match="it exists already"):
        captured(file, FakeTopic([record(0, 0)]), Wanted(9))
    assert file.read_bytes() == b"mine"
    (tmp_path / "other.places").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"other\.places: it exists already"):
        captured(tmp_path / "other", FakeTopic([record(0, 0)]), Wanted(9))


@pytest.mark.parametrize("values", [[b""], [b"a", b"\n", b"ccc"]])
def test_files_are_read_as_they_were_written(tmp_path: Path, values: list[bytes]) -> None:
    file = tmp_path / "spans"
    file.write_bytes(as_file(values, is_json=False))
    assert read_records(file) == (False, values)


def test_a_real_client_finds_the_records_of_a_broker(tmp_path: Path) -> None:
    said: list[str] = []
    file = tmp_path / "spans.otlp"
    with mock_cluster(["otlp_spans"]) as bootstrap:
        properties = {"bootstrap.servers": bootstrap}
        writer = RecordWriter(properties)
        for number in range(8):
            key, value = str(number).encode(), f"value {number}".encode()
            writer.write(OutgoingRecord("otlp_spans", value, key, time_ms=TIME_MS + number))
        assert writer.flush(10) == []
        with TopicReader(properties, "otlp_spans", "spanmill-capture") as reader:
            run_capture(KafkaConfig(), reader, Wanted(1_000), file, said.append)
    assert read_records(file) == (False, [f"value {number}".encode() for number in range(8)])
    assert said[0].startswith(f"{file}: 8 records of ")
