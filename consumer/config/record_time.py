"""The block ``record_time``: how the timestamps of records become ticks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from consumer.config.checks import Block, duration
from processors.settings import DurationMs


class RecordTimeConfig(Block):
    """How the timestamps of records become ticks."""

    idle_grace: Annotated[DurationMs, duration("0s", "1h")] = 1_000
    """A partition that is read to its end counts as being so far behind the wall clock: records
    on their way to it are not late."""
    max_record_skew: Annotated[DurationMs, duration("0s", "24h")] = 60_000
    """A timestamp further than this past the wall clock counts as that: a sender with a wrong
    clock does not drag its partition along."""
    max_ahead: Annotated[int, Field(ge=1, le=1_000)] = 4
    """Ticks by which a partition may be ahead of the slowest one; then it is not fetched from."""
    max_sample_age: Annotated[DurationMs, duration("1m", "8760h")] = 3_600_000
    """Ticks older than this are not written; what they hold counts in the first that is."""
