"""``spanmill topics``: create what is missing, and tell what is wrong with the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consumer.config.model import Config
from consumer.operations.topics import Found, Need, TopicAdmin, create, look, needs_of
from consumer.text_table import table

_HEAD = ("TOPIC", "PURPOSE", "PARTITIONS", "REPLICAS", "STATE")

Echo = Callable[[str], None]


def run_topics(
    config: Config, admin: TopicAdmin, *, span_partitions: int | None, dry_run: bool, echo: Echo
) -> int:
    """Create and check the topics of ``config``; the exit code, 2 if something is to mend.

    With ``dry_run`` the brokers only say whether they would create them.
    """
    needs = needs_of(config, span_partitions=span_partitions)
    before = look(needs, admin)
    missing = [each.need for each in before if each.state is None and each.need.order]
    create(missing, admin, validate_only=dry_run)
    after = before if dry_run else look(needs, admin)
    echo(table(_HEAD, [_row(each, missing, dry_run=dry_run) for each in after]).rstrip())
    problems = [
        f"{each.need.name}: {text}"
        for each in after
        if not (dry_run and each.need in missing)
        for text in each.problems
    ]
    for each in after:
        for text in each.warnings:
            echo(f"warning: {each.need.name}: {text}")
    for line in problems:
        echo(f"wrong: {line}")
    return 2 if problems else 0


def _row(found: Found, missing: Sequence[Need], *, dry_run: bool) -> Sequence[object]:
    need, state = found.need, found.state
    if need in missing:
        word = "would be created" if dry_run else "created"
        if state is None and need.order is not None:
            many = (need.order.partitions, need.order.replicas)
            shown = ("default" if number < 0 else number for number in many)
            return (need.name, need.purpose, *shown, word)
    else:
        word = "wrong" if found.problems else "good"
    if state is None:
        return (need.name, need.purpose, None, None, "missing")
    return (need.name, need.purpose, state.partitions, state.replicas, word)
