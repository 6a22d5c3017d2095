from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from consumer.config import Config, parse_config
from consumer.errors import InputError
from consumer.kafka.admin import GroupState, Place
from consumer.operations.reset import Offset, Wish, parse_place, run_reset

CONFIG = parse_config("", overrides=["kafka.topic=spans", "kafka.group_id=g"], environ={})


@dataclass
class FakeGroup:
    """Group ``g`` on the topic ``spans`` of two partitions."""

    committed_offsets: dict[int, int] = field(default_factory=lambda: {0: 50})
    members: Sequence[str] = ()

    def group(self, group: str) -> GroupState:
        assert group == "g"
        return GroupState("stable" if self.members else "empty", self.members)

    def committed(self, group: str, topic: str) -> Mapping[int, int]:
        assert (group, topic) == ("g", "spans")
        return dict(self.committed_offsets)

    def offsets(self, topic: str, place: Place) -> Mapping[int, int]:
        assert topic == "spans"
        if place == "earliest":
            return {0: 10, 1: 0}
        return {0: 100, 1: 7} if place == "latest" else {0: 60, 1: 7}

    def set_offsets(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        assert (group, topic) == ("g", "spans")
        self.committed_offsets.update(offsets)


def run(
    group: FakeGroup, wish: Wish, *, is_sure: bool = True, config: Config = CONFIG
) -> list[str]:
    lines: list[str] = []
    code = run_reset(config, group, wish, is_sure=is_sure, echo=lines.append)
    assert code == (2 if group.members else 0)
    return lines


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("earliest", "earliest"),
        ("latest", "latest"),
        ("117", Offset(117)),
        ("2026-01-31T08:00:00Z", 1_769_846_400_000),
        ("2026-01-31T08:00:00", 1_769_846_400_000),
        ("2026-01-31T09:00:00.5+01:00", 1_769_846_400_500),
    ],
)
def test_a_place_is_an_end_an_offset_or_a_time(text: str, place: Place | Offset) -> None:
    assert parse_place(text) == place


def test_another_place_is_refused() -> None:
    with pytest.raises(InputError, match="--to: found 'yesterday', expected earliest, latest"):
        parse_place("yesterday")


def test_without_a_yes_it_is_only_shown() -> None:
    group = FakeGroup()
    lines = run(group, Wish("earliest"), is_sure=False)
    assert group.committed_offsets == {0: 50}
    assert lines == [
        "group g, topic spans",
        (
            "PARTITION  COMMITTED  NEW  END  RECORDS\n"
            "0          50         10   100  40 again\n"
            "1          -          0    7    none"
        ),
        "nothing was changed; do it with --yes",
    ]


def test_with_a_yes_every_partition_goes_there() -> None:
    group = FakeGroup()
    assert run(group, Wish(1_769_846_400_000))[-1] == "done"
    assert group.committed_offsets == {0: 60, 1: 7}


def test_only_the_partitions_that_are_named_move() -> None:
    group = FakeGroup()
    lines = run(group, Wish("latest", [1]))
    assert group.committed_offsets == {0: 50, 1: 7}
    assert lines[1].splitlines()[1:] == ["1          -          7    7    7 left out"]


def test_it_refuses_while_workers_are_members_and_names_them() -> None:
    group = FakeGroup(members=["pod-0 (/10.0.0.1)"])
    assert run(group, Wish("earliest")) == [
        "group g is stable; stop its members first:",
        "  pod-0 (/10.0.0.1)",
    ]
    assert group.committed_offsets == {0: 50}


def test_an_offset_that_a_partition_does_not_have_is_refused() -> None:
    group = FakeGroup()
    with pytest.raises(InputError, match="--to: partition 1 of spans has offsets 0 to 7"):
        run(group, Wish(Offset(20)))
    assert run(group, Wish(Offset(20), [0]))[-1] == "done"
    assert group.committed_offsets == {0: 20}


def test_a_partition_that_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match="--partition: spans has no partition 9"):
        run(FakeGroup(), Wish("latest", [0, 9]))


def test_what_it_means_exactly_once_is_told() -> None:
    config = CONFIG.model_copy(update={"processing_guarantee": "exactly_once"})
    lines = run(FakeGroup(), Wish("earliest"), is_sure=False, config=config)
    assert "counts again" in lines[2]
