from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from consumer.errors import InputError
from consumer.kafka.client import IncomingRecord, OutgoingRecord
from consumer.operations.dead_letters import (
    LetterPlace,
    Letters,
    parse_place,
    run_list,
    run_show,
)
from consumer.operations.replay import ReplayError, run_replay

TIME_MS = 1_769_846_400_000


class FakeTopic:
    """A topic in memory, of which batches of two records are read."""

    topic = "dead"

    def __init__(self, *records: IncomingRecord) -> None:
        self.records = list(records)
        self.commits: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def bounds(self) -> Mapping[int, tuple[int, int]]:
        ends: dict[int, int] = {}
        for record in self.records:
            ends[record.partition] = max(ends.get(record.partition, 0), record.offset + 1)
        return {partition: (0, end) for partition, end in ends.items()}

    def committed(self) -> Mapping[int, int]:
        return dict(self.commits)

    def read(self, spans: Mapping[int, tuple[int, int]]) -> Iterator[Sequence[IncomingRecord]]:
        chosen = [
            record
            for record in self.records
            if spans.get(record.partition, (0, 0))[0]
            <= record.offset
            < spans.get(record.partition, (0, 0))[1]
        ]
        for at in range(0, len(chosen), 2):
            yield chosen[at : at + 2]

    def commit(self, offsets: Mapping[int, int]) -> None:
        self.commits.update(offsets)


class FakeWriter:
    """Takes ``room`` records and fails from then on."""

    def __init__(self, room: int = 1_000) -> None:
        self.written: list[OutgoingRecord] = []
        self._room = room

    def write(self, record: OutgoingRecord) -> None:
        self.written.append(record)

    def flush(self, timeout_s: float) -> Sequence[str]:
        assert timeout_s > 0
        return ["the broker is full"] if len(self.written) > self._room else []


def letter(
    offset: int, *, partition: int = 0, topic: str = "spans", reason: str = "malformed"
) -> IncomingRecord:
    told = {
        "origin.topic": topic,
        "origin.partition": "3",
        "origin.offset": str(100 + offset),
        "origin.timestamp": str(TIME_MS),
        "error.class": reason,
        "error.text": f"broken at byte {offset}",
        "version": "0.1.0",
    }
    headers = [(f"spanmill.{name}", value.encode()) for name, value in told.items()]
    return IncomingRecord(
        partition=partition,
        offset=offset,
        time_ms=TIME_MS + 1_000 * offset,
        key=b"trace",
        value=b"\x0a\xffspan" + bytes([offset]),
        headers=[("X-Scope-OrgID", b"north"), *headers],
    )


def listed(topic: FakeTopic, *, limit: int = 50, reason: str = "") -> list[str]:
    lines: list[str] = []
    run_list(Letters(topic, "spans"), limit=limit, reason=reason, echo=lines.append)
    return lines


def replay(
    topic: FakeTopic,
    writer: FakeWriter,
    *places: LetterPlace,
    answer: bool | None = True,
) -> list[str]:
    """``answer`` None: a dry run."""
    lines: list[str] = []

    def asked(question: str) -> bool:
        lines.append(question)
        return bool(answer)

    confirm = None if answer is None else asked
    code = run_replay(Letters(topic, "spans"), writer, places, confirm=confirm, echo=lines.append)
    assert code == 0
    return lines


def test_letters_are_listed_with_origin_and_reason() -> None:
    assert listed(FakeTopic(letter(0), letter(1))) == [
        (
            "LETTER  WRITTEN                        ORIGIN       REASON     TEXT\n"
            "0:0     2026-01-31T08:00:00.000+00:00  spans/3/100  malformed  broken at byte 0\n"
            "0:1     2026-01-31T08:00:01.000+00:00  spans/3/101  malformed  broken at byte 1"
        ),
        "2 dead letters in dead",
    ]


def test_only_the_newest_are_listed_and_the_number_of_all_is_told() -> None:
    table, count = listed(FakeTopic(*map(letter, range(5))), limit=2)
    assert [line.split()[0] for line in table.splitlines()[1:]] == ["0:3", "0:4"]
    assert count == "5 dead letters in dead, the newest 2 are shown"


def test_letters_of_one_reason_are_listed() -> None:
    table, count = listed(FakeTopic(letter(0), letter(1, reason="x")), reason="x")
    assert [line.split()[0] for line in table.splitlines()[1:]] == ["0:1"]
    assert count == "1 dead letters in dead"


def test_an_empty_topic_is_said_to_be_empty() -> None:
    assert listed(FakeTopic()) == ["0 dead letters in dead"]


def test_a_letter_is_shown_with_all_that_is_known(tmp_path: Path) -> None:
    lines: list[str] = []
    file = tmp_path / "value"
    topic = FakeTopic(letter(0), letter(1))
    run_show(Letters(topic, "spans"), LetterPlace(0, 1), value=file, echo=lines.append)
    shown = dict(line.split("  ", 1) for line in lines if "  " in line)
    assert shown["origin"].strip() == "spans/3/101"
    assert shown["record time"].strip() == "2026-01-31T08:00:00.000+00:00"
    assert shown["header X-Scope-OrgID"].strip() == "north"
    assert shown["00000000"].split("  ")[0].strip() == "0a ff 73 70 61 6e 01"
    assert shown["00000000"].endswith("..span.")
    assert file.read_bytes() == topic.records[1].value


@pytest.mark.parametrize("place", ["0:2", "7:0"])
def test_a_letter_that_there_is_not_is_told(place: str) -> None:
    letters = Letters(FakeTopic(letter(0)), "spans")
    with pytest.raises(InputError, match=f"dead has no letter {place}"):
        letters.at([parse_place(place)])


@pytest.mark.parametrize("text", ["2", "a:b", "1:-2", ":", ""])
def test_a_place_is_a_partition_and_an_offset(text: str) -> None:
    with pytest.raises(InputError, match="expected PARTITION:OFFSET"):
        parse_place(text)


def test_records_are_sent_again_as_they_were_with_a_header_that_tells_so() -> None:
    writer, topic = FakeWriter(), FakeTopic(letter(0))
    lines = replay(topic, writer)
    assert writer.written == [
        OutgoingRecord(
            "spans",
            topic.records[0].value,
            key=b"trace",
            headers=[("X-Scope-OrgID", b"north"), ("spanmill.replayed", b"dead/0/0")],
            time_ms=TIME_MS,
        )
    ]
    assert lines[1:] == ["Send 1 records to spans?", "1 records were sent to spans"]


def test_what_was_sent_is_not_sent_a_second_time() -> None:
    writer, topic = FakeWriter(), FakeTopic(letter(0), letter(1))
    replay(topic, writer)
    topic.records.append(letter(2))
    replay(topic, writer)
    assert [record.value[-1] for record in writer.written] == [0, 1, 2]
    assert replay(topic, writer) == ["nothing to send again in dead"]


@pytest.mark.parametrize("answer", [None, False])
def test_a_dry_run_and_a_no_send_nothing(answer: bool | None) -> None:
    writer, topic = FakeWriter(), FakeTopic(letter(0))
    lines = replay(topic, writer, answer=answer)
    assert (writer.written, topic.commits) == ([], {})
    assert lines[-1].endswith("nothing was done")


def test_after_a_failure_the_rest_stays_unsent_and_is_sent_the_next_time() -> None:
    topic = FakeTopic(*map(letter, range(5)))
    with pytest.raises(ReplayError, match="the broker is full"):
        replay(topic, FakeWriter(room=2))
    assert topic.commits == {0: 2}
    writer = FakeWriter()
    replay(topic, writer)
    assert [record.value[-1] for record in writer.written] == [2, 3, 4]


def test_letters_of_another_topic_stay_where_they_are() -> None:
    writer, topic = FakeWriter(), FakeTopic(letter(0), letter(1, topic="others"))
    lines = replay(topic, writer)
    assert [record.topic for record in writer.written] == ["spans"]
    assert "1 did not come from spans and stay here" in lines


def test_single_letters_can_be_sent_again_without_an_effect_on_the_others() -> None:
    writer, topic = FakeWriter(), FakeTopic(*map(letter, range(4)))
    replay(topic, writer, LetterPlace(0, 2))
    assert [record.value[-1] for record in writer.written] == [2]
    assert topic.commits == {}
