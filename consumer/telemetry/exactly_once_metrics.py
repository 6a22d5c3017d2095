"""What spanmill tells Prometheus about `processing_guarantee: exactly_once`."""

from __future__ import annotations

from consumer.telemetry.metric_maker import Maker

_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0)


class ExactlyOnceMetrics:
    """Transactions, snapshots and shards; all zero with `at_least_once`."""

    def __init__(self, maker: Maker) -> None:
        self._transactions = maker.histogram(
            "transaction_seconds", "Time to commit deltas with the offsets they cover.", _SECONDS
        )
        self._delta_bytes = maker.counter(
            "repartition_bytes", "Size of records to the repartition topic, not compressed."
        )
        self._aborted = maker.counter(
            "transactions_aborted", "Transactions given up; what led to them is read again."
        )
        self._snapshots = maker.histogram(
            "snapshot_seconds", "Time to write the state of a shard.", _SECONDS
        )
        self._snapshot_bytes = maker.counter(
            "snapshot_bytes", "Size of records to the snapshot topic, not compressed."
        )
        self._shards = maker.gauge("assigned_shards", "Shards of the series of this worker.")
        self._stalled = maker.gauge(
            "stalled_shards", "Shards that have told no tick for long; the log says why."
        )

    def committed(self, seconds: float, size_bytes: int) -> None:
        """Count a transaction."""
        self._transactions.observe(seconds)
        self._delta_bytes.inc(size_bytes)

    def aborted(self) -> None:
        """Count a transaction that was given up."""
        self._aborted.inc()

    def snapshot(self, seconds: float, size_bytes: int) -> None:
        """Count a snapshot."""
        self._snapshots.observe(seconds)
        self._snapshot_bytes.inc(size_bytes)

    def shards(self, owned: int) -> None:
        """Say how many shards are ours."""
        self._shards.set(owned)

    def stalled(self, shards: int) -> None:
        """Say how many shards tell no ticks."""
        self._stalled.set(shards)
