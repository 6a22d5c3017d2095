"""The log: JSON lines for machines, text for people, both by the standard library.

Lines go to stderr, so that the output of commands stays clean. Fields are given with
``extra={"partition": 3}``.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson

from consumer.clock import Clock, SystemClock
from consumer.remote_write.log_limit import LogLimit

Level = Literal["debug", "info", "warn", "error"]
Format = Literal["auto", "json", "text"]

_LEVELS: Mapping[Level, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_NAMES = {number: name for name, number in _LEVELS.items()} | {logging.CRITICAL: "error"}
CLIENT_LOG = "librdkafka"
"""The logger of the Kafka client's own lines, which it repeats at each attempt."""

_NOISY = ("uvicorn", "uvicorn.error", "uvicorn.access", "urllib3", "asyncio")
_CHANGING = re.compile(r"\(after.*?\)|\d+")
_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def start_logging(level: Level, form: Format = "auto", *, stream: TextIO | None = None) -> None:
    """Send what is logged anywhere to ``stream`` (stderr); replaces what was set before."""
    target = sys.stderr if stream is None else stream
    text = form == "text" or (form == "auto" and target.isatty())
    handler = logging.StreamHandler(target)
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    logging.getLogger().handlers[:] = [handler]
    logging.getLogger(CLIENT_LOG).filters[:] = [RepeatFilter(SystemClock())]
    set_level(level)


def set_level(level: Level) -> None:
    """Change the least level that is logged, from now on."""
    logging.getLogger().setLevel(_LEVELS[level])
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(_LEVELS[level], logging.WARNING))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``ts``, ``level``, ``logger``, ``message``, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Write ``record`` as JSON; a value that JSON does not know is written as text."""
        line: dict[str, object] = {
            "ts": _timestamp(record).isoformat(timespec="milliseconds"),
            "level": _NAMES.get(record.levelno, record.levelname.lower()),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in _fields(record).items():
            line.setdefault(name, value)
        exception = _exception(self, record)
        if exception:
            line["exception"] = exception
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except orjson.JSONEncodeError:  # lone surrogates, integers beyond 64 bits
            return orjson.dumps({name: _plain(value) for name, value in line.items()}).decode()


class TextFormatter(logging.Formatter):
    """``12:30:01.250 warn  consumer.worker: paused reason=sink``."""

    def format(self, record: logging.LogRecord) -> str:
        """Write ``record`` for reading; the exception follows on lines of its own."""
        time = _timestamp(record).astimezone().strftime("%H:%M:%S")
        level = _NAMES.get(record.levelno, record.levelname.lower())
        line = f"{time}.{int(record.msecs):03d} {level:<5} {record.name}: {record.getMessage()}"
        line += "".join(f" {name}={value}" for name, value in _fields(record).items())
        exception = _exception(self, record)
        return f"{line}\n{exception}" if exception else line


class RepeatFilter(logging.Filter):
    """Lets a line through once a minute, whatever numbers and times are in it.

    For libraries that say the same thing at each attempt.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._limit = LogLimit(clock)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is new enough to be told."""
        key = _CHANGING.sub("", record.getMessage())
        return self._limit.pass_through(record.levelname, key) is not None


class LimitedLog:
    """Warnings that may repeat quickly: one line a key and minute, the others are counted."""

    def __init__(self, logger: logging.Logger, clock: Clock) -> None:
        self._logger = logger
        self._limit = LogLimit(clock)

    def warning(self, key: str, text: str, **fields: object) -> None:
        """Log ``text`` unless ``key`` had its line a short while ago."""
        suppressed = self._limit.pass_through(key)
        if suppressed is None:
            return
        if suppressed:
            fields["suppressed"] = suppressed
        extra = {f"{name}_" if name in _OWN_FIELDS else name: fields[name] for name in fields}
        self._logger.warning(text, extra=extra)


def _timestamp(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _OWN_FIELDS}


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    text = formatter.formatException(record.exc_info) if record.exc_info else ""
    stack = formatter.formatStack(record.stack_info) if record.stack_info else ""
    return "\n".join(part for part in (text, stack) if part)


def _plain(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()
