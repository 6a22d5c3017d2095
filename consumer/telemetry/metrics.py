"""What spanmill tells Prometheus about itself; every name begins with ``spanmill_``.

All of it hangs on the registry that is passed in; there are no globals. Each method may
be called from any thread. The number of tenants is bounded by the caller.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from consumer.telemetry.exactly_once_metrics import ExactlyOnceMetrics
from consumer.telemetry.metric_maker import Maker
from consumer.telemetry.remote_write_metrics import RemoteWriteMetrics
from consumer.telemetry.series_metrics import SeriesMetrics

Rebalance = Literal["assigned", "revoked", "lost"]

_TICK_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0)
_LATE_SECONDS = (0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)


class Metrics:
    """Everything but remote write, which is in :attr:`remote_write`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        maker = Maker(registry)
        self.intake = IntakeMetrics(maker)
        self.partitions = PartitionMetrics(maker)
        self.processing = ProcessingMetrics(maker)
        self.series = SeriesMetrics(maker)
        self.overrides = OverridesMetrics(maker)
        self.ticks = TickMetrics(maker)
        self.exactly_once = ExactlyOnceMetrics(maker)
        self.remote_write = RemoteWriteMetrics(maker)
        self.descriptions = tuple(maker.made)

    @classmethod
    def of_process(cls, registry: CollectorRegistry) -> Metrics:
        """The same with what Python and the operating system say about this process."""
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        return cls(registry)


class IntakeMetrics:
    """What comes in, and how it is read."""

    def __init__(self, maker: Maker) -> None:
        tenant = ("tenant",)
        self._records = maker.counter("records_received", "Records that were decoded.", tenant)
        self._spans = maker.counter("spans_received", "Spans in those records.", tenant)
        self._bytes = maker.counter("received_bytes", "Size of those records' values.", tenant)
        self._undecodable = maker.counter(
            "records_undecodable", "Records that could not be decoded.", ("reason",)
        )
        self._dead_lettered = maker.counter(
            "records_dead_lettered", "Undecodable records written to the dead-letter topic."
        )
        self._dead_letter_failures = maker.counter(
            "dead_letter_failures", "Undecodable records that the dead-letter topic did not take."
        )
        self._decoder = maker.gauge(
            "decoder_info",
            "1 for the decoder in use: implementation native or python, and the encoding.",
            ("implementation", "encoding"),
        )
        self._build = maker.gauge("build_info", "1 for this version.", ("version", "python"))

    def received(self, tenant: str, *, records: int, spans: int, size_bytes: int) -> None:
        """Count decoded records of ``tenant`` with what is in them."""
        self._records.labels(tenant).inc(records)
        self._spans.labels(tenant).inc(spans)
        self._bytes.labels(tenant).inc(size_bytes)

    def undecodable(self, reason: str, records: int = 1) -> None:
        """Count records that could not be decoded; ``reason`` is ``Failure.reason``."""
        self._undecodable.labels(reason).inc(records)

    def dead_lettered(self, *, written: int, failed: int = 0) -> None:
        """Count records that went to the dead-letter topic, or did not get there."""
        self._dead_lettered.inc(written)
        self._dead_letter_failures.inc(failed)

    def decoder_is(self, implementation: str, encoding: str) -> None:
        """Say which decoder is in use."""
        self._decoder.clear()
        self._decoder.labels(implementation, encoding).set(1)

    def build_is(self, version: str) -> None:
        """Say which version runs."""
        self._build.labels(version, platform.python_version()).set(1)


class PartitionMetrics:
    """How far the loop is, and what holds it up."""

    def __init__(self, maker: Maker) -> None:
        partition = ("partition",)
        self._assigned = maker.gauge("assigned_partitions", "Partitions of this worker.")
        self._lag_records = maker.gauge(
            "partition_lag_records", "Records of the partition that are not processed.", partition
        )
        self._lag_seconds = maker.gauge(
            "partition_lag_seconds",
            "Age of the last processed record; 0 when there is none to come.",
            partition,
        )
        self._rebalances = maker.counter(
            "rebalances", "Changes of the assignment: assigned, revoked or lost.", ("kind",)
        )
        self._commit_failures = maker.counter("commit_failures", "Commits that Kafka refused.")
        self._paused = maker.gauge("paused", "1 while no records are taken.", ("reason",))
        self._pauses = maker.counter("pauses", "Times that records were not taken.", ("reason",))
        self._turned = maker.gauge(
            "loop_last_turned_timestamp_seconds", "When the loop last turned."
        )

        self._late = maker.histogram(
            "late_records_seconds",
            "How late records were that came after their tick; they count in the next one.",
            _LATE_SECONDS,
        )
        self._held = maker.gauge(
            "held_partitions", "Partitions that wait until the slowest has caught up."
        )

        self._read_again = maker.counter(
            "records_read_again",
            "Records read once more after a partition came, so that halves wait again.",
        )

    def read_again(self, records: int) -> None:
        """Count records that were read once more."""
        self._read_again.inc(records)

    def late(self, late_ms: Sequence[int]) -> None:
        """Count records that came after their tick."""
        for each in late_ms:
            self._late.observe(each / 1_000)

    def held(self, partitions: int) -> None:
        """Say how many partitions wait for the slowest."""
        self._held.set(partitions)

    def rebalanced(self, kind: Rebalance, assigned: int) -> None:
        """Count a change; ``assigned`` partitions are this worker's now."""
        self._rebalances.labels(kind).inc()
        self._assigned.set(assigned)

    def lags(self, partition: int, *, records: int, seconds: float) -> None:
        """Say how far ``partition`` is behind its end."""
        self._lag_records.labels(str(partition)).set(records)
        self._lag_seconds.labels(str(partition)).set(seconds)

    def forget(self, partitions: Iterable[int]) -> None:
        """Say nothing more about partitions that are another worker's now."""
        for partition in partitions:
            self._lag_records.remove_by_labels({"partition": str(partition)})
            self._lag_seconds.remove_by_labels({"partition": str(partition)})

    def commit_failed(self) -> None:
        """Count a commit that Kafka refused."""
        self._commit_failures.inc()

    def paused(self, reason: str) -> None:
        """Say that no records are taken, for ``reason``."""
        self._paused.labels(reason).set(1)
        self._pauses.labels(reason).inc()

    def resumed(self, reason: str) -> None:
        """Say that ``reason`` holds up records no longer."""
        self._paused.labels(reason).set(0)

    def turned(self, now_s: float) -> None:
        """Say that the loop turned at ``now_s``, seconds since the epoch."""
        self._turned.set(now_s)


class ProcessingMetrics:
    """What became of the spans: used or discarded, each once by each processor."""

    def __init__(self, maker: Maker) -> None:
        self._used = maker.counter(
            "spans_used", "Spans that counted in a series.", ("tenant", "processor")
        )
        self._discarded = maker.counter(
            "spans_discarded",
            "Spans that did not count, with the reason.",
            ("tenant", "processor", "reason"),
        )
        self._paired = maker.counter(
            "edges_paired", "Edges of which both halves were found, by kind of edge.", ("kind",)
        )
        self._expired = maker.counter(
            "edges_expired", "Half edges whose time ran out, by the half that came.", ("kind",)
        )
        self._sanitized = maker.counter(
            "spans_sanitized",
            "Spans whose name was replaced by a template, or would be but for dry_run.",
            ("tenant",),
        )
        self._pending = maker.gauge("edges_pending", "Half edges that wait for the other half.")

    def used(self, processor: str, spans: Mapping[str, int]) -> None:
        """Count spans by tenant that ``processor`` used."""
        for tenant, count in spans.items():
            self._used.labels(tenant, processor).inc(count)

    def discarded(self, processor: str, spans: Mapping[tuple[str, str], int]) -> None:
        """Count spans by tenant and reason that ``processor`` (or ``all``) discarded."""
        for (tenant, reason), count in spans.items():
            self._discarded.labels(tenant, processor, reason).inc(count)

    def sanitized(self, spans: Mapping[str, int]) -> None:
        """Count spans by tenant whose name was, or would be, replaced."""
        for tenant, count in spans.items():
            self._sanitized.labels(tenant).inc(count)

    def edges(self, *, paired: Mapping[str, int], expired: Mapping[str, int], pending: int) -> None:
        """Count edges by kind, and say how many half edges wait."""
        for kind, count in paired.items():
            self._paired.labels(kind).inc(count)
        for kind, count in expired.items():
            self._expired.labels(kind).inc(count)
        self._pending.set(pending)


class OverridesMetrics:
    """The file with the overrides of tenants."""

    def __init__(self, maker: Maker) -> None:
        self._reloads = maker.counter(
            "overrides_reloads",
            "Looks at the file of overrides: unchanged, changed or failed.",
            ("outcome",),
        )
        self._good = maker.gauge(
            "overrides_last_good_timestamp_seconds",
            "When the file of overrides was last looked at and good; 0 without one.",
        )

    def started(self, now_s: float) -> None:
        """Say that there is a file, and that it was good at ``now_s``."""
        for outcome in ("unchanged", "changed", "failed"):
            self._reloads.labels(outcome)
        self._good.set(now_s)

    def reloaded(self, outcome: str, now_s: float) -> None:
        """Count a look at the file at ``now_s``, seconds since the epoch."""
        self._reloads.labels(outcome).inc()
        if outcome != "failed":
            self._good.set(now_s)


class TickMetrics:
    """The rhythm of writing."""

    def __init__(self, maker: Maker) -> None:
        self._ticks = maker.counter("ticks", "Collections of all series.")
        self._seconds = maker.histogram(
            "tick_seconds", "Time to collect all series at a tick.", _TICK_SECONDS
        )
        self._skipped = maker.counter(
            "ticks_skipped", "Ticks that were too old to be written; later ones hold their counts."
        )

    def ticked(self, seconds: float) -> None:
        """Count a collection that took ``seconds``."""
        self._ticks.inc()
        self._seconds.observe(seconds)

    def skipped(self, ticks: int = 1) -> None:
        """Count ticks that were left out."""
        self._skipped.inc(ticks)


def reference() -> str:
    """The page ``docs/metrics.md``."""
    lines = [
        "# Metrics about itself",
        "",
        "Made by `python -m consumer.telemetry.metrics`; a test keeps it current. Served at",
        "`/metrics`, with those of the process (`process_*`) and of Python (`python_*`).",
        "",
        "| Metric | Type | Labels | Meaning |",
        "|---|---|---|---|",
    ]
    for each in Metrics(CollectorRegistry()).descriptions:
        labels = ", ".join(f"`{label}`" for label in each.labels) or "none"
        lines.append(f"| `{each.name}` | {each.type} | {labels} | {each.help} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
