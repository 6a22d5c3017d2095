import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from consumer.telemetry.logs import LimitedLog, set_level, start_logging
from tests.support.clock import HandClock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def fail(text: str) -> None:
    try:
        int(text)
    except ValueError:
        logging.getLogger("a").exception("failed")


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_of_json_has_time_level_logger_message_and_fields() -> None:
    stream = io.StringIO()
    start_logging("info", "json", stream=stream)
    logging.getLogger("consumer.worker").info("took %d", 3, extra={"partition": 7})
    [line] = lines(stream)
    assert datetime.fromisoformat(line.pop("ts")).tzinfo is not None
    assert line == {
        "level": "info",
        "logger": "consumer.worker",
        "message": "took 3",
        "partition": 7,
    }


def test_an_exception_stays_on_the_line_it_belongs_to() -> None:
    stream = io.StringIO()
    start_logging("info", "json", stream=stream)
    fail("broken")
    [line] = lines(stream)
    assert line["level"] == "error"
    assert line["exception"].endswith("base 10: 'broken'")


@pytest.mark.parametrize("value", [object(), {1: 2}, 1 << 70, "\ud800", b"\xff", {"a", "b"}])
def test_any_value_can_be_logged(value: object) -> None:
    stream = io.StringIO()
    start_logging("info", "json", stream=stream)
    logging.getLogger("a").info("odd %s", value, extra={"value": value})
    [line] = lines(stream)
    assert "value" in line


def test_a_field_does_not_hide_the_message() -> None:
    stream = io.StringIO()
    start_logging("info", "json", stream=stream)
    logging.getLogger("a").info("told", extra={"level": "none", "ts": 0})
    [line] = lines(stream)
    assert (line["level"], line["message"]) == ("info", "told")
    assert line["ts"] != 0


def test_on_a_terminal_lines_are_text() -> None:
    stream = Terminal()
    start_logging("info", stream=stream)
    logging.getLogger("consumer.worker").warning("paused", extra={"reason": "sink"})
    assert stream.getvalue().endswith(" warn  consumer.worker: paused reason=sink\n")


def test_elsewhere_lines_are_json() -> None:
    stream = io.StringIO()
    start_logging("info", stream=stream)
    logging.getLogger("a").warning("told")
    assert lines(stream)[0]["level"] == "warn"


def test_text_can_be_had_without_a_terminal() -> None:
    stream = io.StringIO()
    start_logging("info", "text", stream=stream)
    fail("broken")
    first, *others = stream.getvalue().splitlines()
    assert first.endswith("error a: failed")
    assert others[-1].startswith("ValueError: ")


def test_the_level_can_be_changed_while_running() -> None:
    stream = io.StringIO()
    start_logging("warn", "json", stream=stream)
    logger = logging.getLogger("a")
    logger.info("not told")
    set_level("debug")
    logger.debug("told")
    set_level("error")
    logger.warning("not told")
    assert [line["message"] for line in lines(stream)] == ["told"]


def test_the_http_server_does_not_chat() -> None:
    stream = io.StringIO()
    start_logging("debug", "json", stream=stream)
    logging.getLogger("uvicorn.error").info("started")
    assert stream.getvalue() == ""


def test_starting_again_does_not_double_the_lines() -> None:
    stream = io.StringIO()
    start_logging("info", "json", stream=stream)
    start_logging("info", "json", stream=stream)
    logging.getLogger("a").info("once")
    assert len(lines(stream)) == 1


def test_a_repeated_warning_is_told_once_a_minute_with_the_number_kept_back() -> None:
    stream = io.StringIO()
    start_logging("info", "json", stream=stream)
    clock = HandClock()
    limited = LimitedLog(logging.getLogger("a"), clock)
    for _ in range(5):
        limited.warning("commit", "commit failed", partition=1)
    limited.warning("sink", "sink failed")
    clock.sleep_s(61)
    limited.warning("commit", "commit failed", partition=1)
    assert [(line["message"], line.get("suppressed")) for line in lines(stream)] == [
        ("commit failed", None),
        ("sink failed", None),
        ("commit failed", 4),
    ]


def test_a_percent_sign_in_a_repeated_warning_is_just_that() -> None:
    stream = io.StringIO()
    start_logging("info", "json", stream=stream)
    LimitedLog(logging.getLogger("a"), HandClock()).warning("key", "100 % of %s", name="x")
    [line] = lines(stream)
    assert (line["message"], line["name_"]) == ("100 % of %s", "x")
