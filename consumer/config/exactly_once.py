"""The block ``exactly_once``: the internal topics of that guarantee."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from consumer.config.checks import Block, duration
from processors.settings import DurationMs, refuse

LEAST_SNAPSHOTS_RETAINED = 10
"""The repartition topic keeps at least this many snapshot intervals, for owners that are slow."""


class ExactlyOnceConfig(Block):
    """What `processing_guarantee: exactly_once` needs besides the span topic."""

    repartition_topic: str = Field(
        default="", json_schema_extra={"default_text": "`kafka.topic`, then `-spanmill-deltas`"}
    )
    """The topic in which deltas go to the owners of their series."""
    snapshot_topic: str = Field(
        default="", json_schema_extra={"default_text": "`kafka.topic`, then `-spanmill-snapshots`"}
    )
    """The compacted topic that holds the owners' snapshots."""
    shards: Annotated[int, Field(ge=1, le=1_024)] = 16
    """Partitions of both topics, and so the most workers that can own series. It cannot be
    changed as long as the topics live."""
    commit_interval: Annotated[DurationMs, duration("50ms", "1m")] = 1_000
    """Longest time that deltas wait for their transaction; each costs some requests."""
    transaction_timeout: Annotated[DurationMs, duration("5s", "15m")] = 20_000
    """After a crash, readers wait so long for what was under way, unless the worker is back
    before. A worker that hangs for longer has to begin its transaction again."""
    snapshot_interval: Annotated[DurationMs, duration("1s", "1h")] = 60_000
    """Time between two snapshots of a shard; after a crash, what came since is replayed."""
    retention: Annotated[DurationMs, duration("10m", "8760h")] = 86_400_000
    """How long the repartition topic keeps deltas; at least ten times the snapshot interval."""


def check_exactly_once(config: ExactlyOnceConfig) -> ExactlyOnceConfig:
    """Refuse a retention within which a slow owner might lose what it has to replay."""
    if config.retention < LEAST_SNAPSHOTS_RETAINED * config.snapshot_interval:
        text = "expected at least ten times snapshot_interval, for owners that are slow"
        refuse([(("retention",), text)])
    return config
