"""What spanmill tells Prometheus about remote write; every method is safe for threads."""

from __future__ import annotations

from collections.abc import Sequence

from consumer.telemetry.metric_maker import Maker

_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class RemoteWriteMetrics:
    """The sender's observer: what was delivered, and what was not."""

    def __init__(self, maker: Maker) -> None:
        at, who = ("endpoint",), ("endpoint", "tenant")
        name = "remote_write_samples"
        self._sent = maker.counter(f"{name}_sent", "Samples that were delivered.", who)
        self._histograms = maker.counter(
            "remote_write_histograms_sent", "Those of them that are native histograms.", who
        )
        self._exemplars = maker.counter(
            "remote_write_exemplars_sent", "Exemplars that were delivered.", who
        )
        self._lost_exemplars = maker.counter(
            "remote_write_exemplars_failed",
            "Exemplars that the endpoint did not take.",
            (*who, "reason"),
        )
        self._metadata = maker.counter(
            "remote_write_metadata_sent", "Families whose type and help were told (1.0).", who
        )
        self._lost_metadata = maker.counter(
            "remote_write_metadata_failed",
            "Families of which the endpoint did not want to know.",
            (*who, "reason"),
        )
        self._retried = maker.counter(f"{name}_retried", "Samples that are sent again.", who)
        self._failed = maker.counter(
            f"{name}_failed", "Samples that the endpoint rejected for good.", (*who, "reason")
        )
        self._dropped = maker.counter(
            f"{name}_dropped", "Samples that were not sent at all.", (*who, "reason")
        )
        self._pending = maker.gauge(f"{name}_pending", "Samples that wait for delivery.", who)
        self._pending_ticks = maker.gauge(
            "remote_write_ticks_pending", "Ticks of which samples wait for delivery.", who
        )
        self._bytes = maker.counter(
            "remote_write_sent_bytes", "Size of delivered requests, compressed.", who
        )
        self._seconds = maker.histogram(
            "remote_write_request_seconds",
            "Time of a request, whatever came of it.",
            _REQUEST_SECONDS,
            at,
        )
        self._shards = _Shards(maker)
        self._queued = maker.gauge(
            "remote_write_highest_timestamp_seconds", "Time of the newest tick that was queued.", at
        )
        self._told = maker.gauge(
            "remote_write_highest_sent_timestamp_seconds",
            "Time of the newest sample that the endpoint has taken.",
            at,
        )
        self._errors = maker.counter(
            "remote_write_internal_errors", "Errors that a sending thread should not have.", who
        )

    def samples_sent(self, endpoint: str, tenant: str, samples: int) -> None:
        """Count samples that were delivered."""
        self._sent.labels(endpoint, tenant).inc(samples)

    def histograms_sent(self, endpoint: str, tenant: str, histograms: int) -> None:
        """Count native histograms that were delivered."""
        self._histograms.labels(endpoint, tenant).inc(histograms)

    def exemplars_sent(self, endpoint: str, tenant: str, exemplars: int) -> None:
        """Count exemplars that were delivered."""
        self._exemplars.labels(endpoint, tenant).inc(exemplars)

    def exemplars_failed(self, endpoint: str, tenant: str, reason: str, exemplars: int) -> None:
        """Count exemplars that were not taken."""
        self._lost_exemplars.labels(endpoint, tenant, reason).inc(exemplars)

    def metadata_sent(self, endpoint: str, tenant: str, families: int) -> None:
        """Count families that were told."""
        self._metadata.labels(endpoint, tenant).inc(families)

    def metadata_failed(self, endpoint: str, tenant: str, reason: str, families: int) -> None:
        """Count families that were refused."""
        self._lost_metadata.labels(endpoint, tenant, reason).inc(families)

    def samples_retried(self, endpoint: str, tenant: str, samples: int) -> None:
        """Count samples that are sent again."""
        self._retried.labels(endpoint, tenant).inc(samples)

    def samples_failed(self, endpoint: str, tenant: str, reason: str, samples: int) -> None:
        """Count samples that were rejected for good."""
        self._failed.labels(endpoint, tenant, reason).inc(samples)

    def samples_dropped(self, endpoint: str, tenant: str, reason: str, samples: int) -> None:
        """Count samples that were not sent."""
        self._dropped.labels(endpoint, tenant, reason).inc(samples)

    def bytes_sent(self, endpoint: str, tenant: str, size_bytes: int) -> None:
        """Count the size of a delivered request."""
        self._bytes.labels(endpoint, tenant).inc(size_bytes)

    def request_finished(self, endpoint: str, _tenant: str, seconds: float) -> None:
        """Observe the time of a request; by endpoint only, a histogram has many series."""
        self._seconds.labels(endpoint).observe(seconds)

    def pending_changed(self, endpoint: str, tenant: str, samples: int, ticks: int) -> None:
        """Say what waits for delivery."""
        self._pending.labels(endpoint, tenant).set(samples)
        self._pending_ticks.labels(endpoint, tenant).set(ticks)

    def trouble_seen(self, endpoint: str, tenant: str, reason: str, text: str) -> None:
        """Count nothing: what comes of the trouble is counted above."""

    def internal_error(self, endpoint: str, tenant: str) -> None:
        """Count an error that a sending thread should not have."""
        self._errors.labels(endpoint, tenant).inc()

    def shards_changed(
        self, endpoint: str, shards: int, desired: float, least: int, most: int
    ) -> None:
        """Say how many requests may be under way."""
        self._shards.set(endpoint, (shards, desired, least, most))

    def queued_until(self, endpoint: str, time_ms: int) -> None:
        """Say of when the newest tick is."""
        self._queued.labels(endpoint).set(time_ms / 1_000)

    def sent_until(self, endpoint: str, time_ms: int) -> None:
        """Say of when the newest sample is that arrived."""
        self._told.labels(endpoint).set(time_ms / 1_000)


class _Shards:
    """How many requests to an endpoint may be under way, and why."""

    def __init__(self, maker: Maker) -> None:
        name, at = "remote_write_shards", ("endpoint",)
        self._gauges = (
            maker.gauge(name, "Most requests under way, and shards of a tenant, now.", at),
            maker.gauge(f"{name}_desired", "What the time of requests asks for.", at),
            maker.gauge(f"{name}_min", "`queue_config.min_shards`.", at),
            maker.gauge(f"{name}_max", "`queue_config.max_shards`.", at),
        )

    def set(self, endpoint: str, counts: Sequence[float]) -> None:
        """Say the four, in the order of the gauges."""
        for gauge, number in zip(self._gauges, counts, strict=True):
            gauge.labels(endpoint).set(number)
