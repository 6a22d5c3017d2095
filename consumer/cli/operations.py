"""The commands of an operator: topics, offsets of the group, dead letters."""

# ruff: noqa: PLC0415  a command imports what it needs when it runs

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumer.cli.options import ConfigFile, DryRun, Settings, Yes, load

if TYPE_CHECKING:
    from consumer.config import Config
    from consumer.operations.dead_letters import Letters

operations = typer.Typer()
dead_letters = typer.Typer(no_args_is_help=True, help="Look at dead letters, and send them again.")
operations.add_typer(dead_letters, name="dead-letters")

Place = Annotated[
    str, typer.Argument(metavar="PARTITION:OFFSET", help="As list shows them, such as 2:117.")
]


@operations.command()
def topics(
    config: ConfigFile = None,
    settings: Settings = None,
    span_partitions: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Create the span topic too, if it is missing."),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Create the topics that spanmill needs, and check the settings of those there are."""
    from consumer.kafka.admin import Admin
    from consumer.operations.topics_command import run_topics

    loaded = load(config, settings)
    admin = Admin(loaded.kafka.connection())
    code = run_topics(
        loaded, admin, span_partitions=span_partitions, dry_run=dry_run, echo=typer.echo
    )
    raise typer.Exit(code)


@operations.command()
def reset(
    to: Annotated[
        str,
        typer.Option(
            metavar="PLACE", help="earliest, latest, a time (2026-01-31T08:00:00Z) or an offset."
        ),
    ],
    config: ConfigFile = None,
    settings: Settings = None,
    partition: Annotated[
        list[int] | None,
        typer.Option(metavar="N", min=0, help="Only this one. Repeatable."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it; else it is only shown.")] = False,
) -> None:
    """Let the consumer group go on somewhere else. No worker may be running."""
    from consumer.kafka.admin import Admin
    from consumer.operations.reset import Wish, parse_place, run_reset

    wish = Wish(parse_place(to), partition or ())
    loaded = load(config, settings)
    admin = Admin(loaded.kafka.connection())
    code = run_reset(loaded, admin, wish, is_sure=yes, echo=typer.echo)
    raise typer.Exit(code)


@operations.command()
def capture(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    config: ConfigFile = None,
    settings: Settings = None,
    records: Annotated[int, typer.Option(metavar="N", min=1, help="The newest so many.")] = 1_000,
    tenant: Annotated[str | None, typer.Option(help="Keep those of this tenant alone.")] = None,
) -> None:
    """Write the newest records of the span topic to a file, for preview, explain and forecast."""
    from consumer.kafka.reader import TopicReader
    from consumer.operations.capture import Wanted, run_capture

    kafka = load(config, settings).kafka
    group = f"{kafka.group_id}-capture"
    with TopicReader(kafka.connection(), kafka.topic, group) as reader:
        run_capture(kafka, reader, Wanted(records, tenant), file, echo=typer.echo)


@dead_letters.command("list")
def list_letters(
    config: ConfigFile = None,
    settings: Settings = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="The newest so many.")] = 50,
    reason: Annotated[str, typer.Option(help="Only those with this reason.")] = "",
) -> None:
    """List the newest dead letters: where they came from, and what was wrong."""
    from consumer.operations.dead_letters import run_list

    with _letters(load(config, settings)) as letters:
        run_list(letters, limit=limit, reason=reason, echo=typer.echo)


@dead_letters.command("show")
def show_letter(
    place: Place,
    config: ConfigFile = None,
    settings: Settings = None,
    value: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the record's value there.")
    ] = None,
) -> None:
    """Show one dead letter with all that is known of it."""
    from consumer.operations.dead_letters import parse_place, run_show

    where = parse_place(place)
    with _letters(load(config, settings)) as letters:
        run_show(letters, where, value=value, echo=typer.echo)


@dead_letters.command("replay")
def replay_letters(
    config: ConfigFile = None,
    settings: Settings = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="PARTITION:OFFSET", help="This one, sent before or not. Repeatable."),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Send dead letters to the topic they came from: all that were not sent yet."""
    from consumer.kafka.client import RecordWriter
    from consumer.operations.dead_letters import parse_place
    from consumer.operations.replay import run_replay

    places = [parse_place(place) for place in only or ()]
    loaded = load(config, settings)
    with _letters(loaded) as letters:
        writer = RecordWriter(loaded.kafka.connection())
        confirm = (lambda _question: True) if yes else typer.confirm
        code = run_replay(
            letters, writer, places, confirm=None if dry_run else confirm, echo=typer.echo
        )
    raise typer.Exit(code)


def _letters(config: Config) -> Letters:
    from consumer.errors import ConfigError, Problem
    from consumer.kafka.reader import TopicReader
    from consumer.operations.dead_letters import Letters

    kafka = config.kafka
    if not kafka.dead_letter_topic:
        text = "found '', expected the topic that holds the dead letters"
        raise ConfigError([Problem("kafka.dead_letter_topic", text)])
    group = f"{kafka.group_id}-replay"
    return Letters(TopicReader(kafka.connection(), kafka.dead_letter_topic, group), kafka.topic)
