"""Files of records, as exporters and as people write them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from consumer.errors import InputError
from consumer.files.otlp_files import Place, as_places, places_file, places_of, read_records

RECORD: Mapping[str, Sequence[object]] = {"resourceSpans": []}


def written(folder: Path, content: bytes) -> Path:
    file = folder / "spans"
    file.write_bytes(content)
    return file


def test_a_line_of_json_is_a_record(tmp_path: Path) -> None:
    line = json.dumps(RECORD).encode()
    file = written(tmp_path, b"\n" + line + b"\n\n" + line + b"\n")
    assert read_records(file) == (True, [line, line])


def test_json_over_several_lines_is_one_record(tmp_path: Path) -> None:
    content = json.dumps(RECORD, indent=1).encode()
    assert read_records(written(tmp_path, content)) == (True, [content])


def test_a_broken_line_stays_a_record_of_its_own(tmp_path: Path) -> None:
    line = json.dumps(RECORD).encode()
    file = written(tmp_path, b"{broken\n" + line)
    assert read_records(file) == (True, [b"{broken", line])


@pytest.mark.parametrize("values", [[b""], [b"abc", b"", b"d"]])
def test_messages_have_their_length_before_them(tmp_path: Path, values: list[bytes]) -> None:
    content = b"".join(len(value).to_bytes(4, "big") + value for value in values)
    assert read_records(written(tmp_path, content)) == (False, values)


def test_places_stand_beside_a_file_or_nowhere(tmp_path: Path) -> None:
    file = written(tmp_path, b"{}")
    assert places_of(file) is None
    places = [Place(1_767_225_600_000, 3, 17), Place(1_767_225_600_001, 0, 0)]
    places_file(file).write_bytes(as_places(places))
    assert places_of(file) == places


@pytest.mark.parametrize("content", [b"{broken", b'{"time_ms": 1}', b"[1, 2, 3]"])
def test_places_that_make_no_sense_are_the_users_mistake(tmp_path: Path, content: bytes) -> None:
    file = written(tmp_path, b"{}")
    places_file(file).write_bytes(content)
    with pytest.raises(
        InputError, match=r"spans\.places: expected a place of a record in each line"
    ):
        places_of(file)
