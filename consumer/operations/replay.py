"""``spanmill dead-letters replay``: send records again that could not be decoded.

A batch is written, then remembered by the group ``<kafka.group_id>-replay``: whoever is
interrupted goes on there, and sends at most one batch twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from consumer.errors import SpanmillError
from consumer.kafka.client import OutgoingRecord
from consumer.operations.dead_letters import REPLAYED, Echo, Letter, LetterPlace, Letters
from consumer.text_table import table

FLUSH_TIMEOUT_S = 30.0

Confirm = Callable[[str], bool]


class ReplayError(SpanmillError):
    """Stop: the brokers did not take all records; what was not sent stays unsent."""


class Writer(Protocol):
    """Where records go; :class:`consumer.kafka.client.RecordWriter` is one."""

    def write(self, record: OutgoingRecord) -> None:
        """Queue ``record``."""
        ...

    def flush(self, timeout_s: float) -> Sequence[str]:
        """Wait for all answers; the reasons of what failed."""
        ...


def run_replay(
    letters: Letters,
    writer: Writer,
    places: Sequence[LetterPlace],
    *,
    confirm: Confirm | None,
    echo: Echo,
) -> int:
    """Send the letters at ``places``, or all that were not sent yet; the exit code.

    ``confirm`` None is a dry run. A letter that does not come from the span topic of the
    configuration is left where it is. Raises :class:`ReplayError`.
    """
    chosen = letters.at(places)
    batches: Iterable[Sequence[Letter]] = [chosen] if places else letters.unsent()
    found = Counter(_kind(letters, letter) for batch in batches for letter in batch)
    if not found:
        echo(f"nothing to send again in {letters.topic}")
        return 0
    echo(
        table(("ORIGIN", "REASON", "LETTERS"), [(*k, n) for k, n in sorted(found.items())]).rstrip()
    )
    count = sum(number for (topic, _), number in found.items() if topic == letters.span_topic)
    if count < found.total():
        echo(f"{found.total() - count} did not come from {letters.span_topic} and stay here")
    if confirm is None:
        echo(f"{count} would be sent to {letters.span_topic}; nothing was done")
        return 0
    if not count or not confirm(f"Send {count} records to {letters.span_topic}?"):
        echo("nothing was done")
        return 0
    sent = _send(letters, writer, chosen) if places else _send_unsent(letters, writer, count)
    echo(f"{sent} records were sent to {letters.span_topic}")
    return 0


def _send_unsent(letters: Letters, writer: Writer, count: int) -> int:
    """Batch by batch, each remembered as soon as it is written."""
    sent = 0
    for batch in _shown(letters.unsent(), count):
        sent += _send(letters, writer, batch)
        letters.sent(batch)
    return sent


def _send(letters: Letters, writer: Writer, batch: Sequence[Letter]) -> int:
    ours = [letter for letter in batch if letter.topic == letters.span_topic]
    for letter in ours:
        writer.write(_again(letters, letter))
    failures = writer.flush(FLUSH_TIMEOUT_S)
    if failures:
        raise ReplayError(f"{len(failures)} records were not taken, the first: {failures[0]}")
    return len(ours)


def _again(letters: Letters, letter: Letter) -> OutgoingRecord:
    """The record as it was, with a header that tells which letter it has been."""
    marker = f"{letters.topic}/{letter.place.partition}/{letter.place.offset}"
    return OutgoingRecord(
        topic=letter.topic,
        value=letter.value,
        key=letter.key,
        headers=[*letter.own, (REPLAYED, marker.encode())],
        time_ms=letter.origin_ms,
    )


def _kind(letters: Letters, letter: Letter) -> tuple[str, str]:
    return letter.topic or f"(not told in {letters.topic})", letter.reason


def _shown(batches: Iterator[Sequence[Letter]], count: int) -> Iterator[Sequence[Letter]]:
    """The batches, with a bar on a terminal."""
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        TextColumn("sending"), *columns, console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("sending", total=count)
        for batch in batches:
            yield batch
            bar.advance(task, len(batch))
