"""What the sender tells about itself; metrics are made of it elsewhere."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Called from sending threads and from ``submit``, some calls with a lock held.

    An observer must be quick, safe to call from any thread, and must not call the sender.
    """

    def samples_sent(self, endpoint: str, tenant: str, samples: int) -> None:
        """The endpoint has taken ``samples``, native histograms included."""
        ...

    def histograms_sent(self, endpoint: str, tenant: str, histograms: int) -> None:
        """So many of the samples it has taken are native histograms."""
        ...

    def exemplars_sent(self, endpoint: str, tenant: str, exemplars: int) -> None:
        """The endpoint has taken ``exemplars``."""
        ...

    def exemplars_failed(self, endpoint: str, tenant: str, reason: str, exemplars: int) -> None:
        """The endpoint did not take ``exemplars``; reasons as of samples."""
        ...

    def metadata_sent(self, endpoint: str, tenant: str, families: int) -> None:
        """The endpoint was told type, help and unit of ``families`` (1.0)."""
        ...

    def metadata_failed(self, endpoint: str, tenant: str, reason: str, families: int) -> None:
        """The endpoint did not want to know of ``families``; reasons as of samples."""
        ...

    def samples_retried(self, endpoint: str, tenant: str, samples: int) -> None:
        """``samples`` will be sent again after a failure that may pass."""
        ...

    def samples_failed(self, endpoint: str, tenant: str, reason: str, samples: int) -> None:
        """The endpoint rejected ``samples`` for good; ``reason`` is such as ``http_400``."""
        ...

    def samples_dropped(self, endpoint: str, tenant: str, reason: str, samples: int) -> None:
        """``samples`` were not sent at all.

        Reasons: ``collapsed`` (a later tick carries what they count), ``backlog_full``,
        ``endpoint_removed``, ``shutdown``, ``internal_error``, and those of ``labels``.
        """
        ...

    def bytes_sent(self, endpoint: str, tenant: str, size_bytes: int) -> None:
        """A request of ``size_bytes`` (compressed) was delivered."""
        ...

    def request_finished(self, endpoint: str, tenant: str, seconds: float) -> None:
        """A request came to an outcome, whichever, in ``seconds``."""
        ...

    def pending_changed(self, endpoint: str, tenant: str, samples: int, ticks: int) -> None:
        """So much waits now, the request in flight included (zero samples are not)."""
        ...

    def trouble_seen(self, endpoint: str, tenant: str, reason: str, text: str) -> None:
        """A request failed or samples were lost; ``text`` is what the log would say of it.

        For people: it may come often, and without a bound on ``text``.
        """
        ...

    def internal_error(self, endpoint: str, tenant: str) -> None:
        """A sending thread met an error that it should not have; it goes on."""
        ...

    def shards_changed(
        self, endpoint: str, shards: int, desired: float, least: int, most: int
    ) -> None:
        """So many requests may be under way; ``desired`` is without limits and tolerance."""
        ...

    def queued_until(self, endpoint: str, time_ms: int) -> None:
        """The newest tick that was queued is of this time."""
        ...

    def sent_until(self, endpoint: str, time_ms: int) -> None:
        """The newest sample that the endpoint has taken is of this time."""
        ...


class NullObserver:
    """Does not listen."""

    def samples_sent(self, endpoint: str, tenant: str, samples: int) -> None:
        """Ignore it."""

    def samples_retried(self, endpoint: str, tenant: str, samples: int) -> None:
        """Ignore it."""

    def samples_failed(self, endpoint: str, tenant: str, reason: str, samples: int) -> None:
        """Ignore it."""

    def samples_dropped(self, endpoint: str, tenant: str, reason: str, samples: int) -> None:
        """Ignore it."""

    def bytes_sent(self, endpoint: str, tenant: str, size_bytes: int) -> None:
        """Ignore it."""

    def request_finished(self, endpoint: str, tenant: str, seconds: float) -> None:
        """Ignore it."""

    def pending_changed(self, endpoint: str, tenant: str, samples: int, ticks: int) -> None:
        """Ignore it."""

    def trouble_seen(self, endpoint: str, tenant: str, reason: str, text: str) -> None:
        """Ignore it."""

    def internal_error(self, endpoint: str, tenant: str) -> None:
        """Ignore it."""

    def shards_changed(
        self, endpoint: str, shards: int, desired: float, least: int, most: int
    ) -> None:
        """Ignore it."""

    def queued_until(self, endpoint: str, time_ms: int) -> None:
        """Ignore it."""

    def sent_until(self, endpoint: str, time_ms: int) -> None:
        """Ignore it."""

    def histograms_sent(self, endpoint: str, tenant: str, histograms: int) -> None:
        """Ignore it."""

    def exemplars_sent(self, endpoint: str, tenant: str, exemplars: int) -> None:
        """Ignore it."""

    def exemplars_failed(self, endpoint: str, tenant: str, reason: str, exemplars: int) -> None:
        """Ignore it."""

    def metadata_sent(self, endpoint: str, tenant: str, families: int) -> None:
        """Ignore it."""

    def metadata_failed(self, endpoint: str, tenant: str, reason: str, families: int) -> None:
        """Ignore it."""
