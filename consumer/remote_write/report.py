"""Counts and logs what becomes of samples at one endpoint."""

from __future__ import annotations

import logging
from contextlib import suppress

from consumer.clock import Clock
from consumer.remote_write.client import Delivered, Outcome, Rejected, Retry, Unsupported, Written
from consumer.remote_write.log_limit import LogLimit
from consumer.remote_write.observer import Observer
from consumer.remote_write.request import EncodedRequest, Message

_log = logging.getLogger(__name__)

_LOGGED_TEXT = 200


class Report:
    """What is told about the endpoint ``name``. Safe for threads.

    A line is logged once per tenant and reason a minute, with how many were kept back.
    """

    def __init__(self, name: str, observer: Observer, clock: Clock) -> None:
        self._name = name
        self._observer = observer
        self._log_limit = LogLimit(clock)

    def pending(self, tenant: str, samples: int, ticks: int) -> None:
        """So much of the tenant waits now."""
        self._observer.pending_changed(self._name, tenant, samples, ticks)

    def finished(self, tenant: str, seconds: float) -> None:
        """A request came to its outcome, whichever."""
        self._observer.request_finished(self._name, tenant, seconds)

    def outcome(self, tenant: str, request: EncodedRequest, outcome: Outcome) -> None:
        """This came of ``request``, which is not to be sent in parts instead."""
        match outcome:
            case Delivered(_, written):
                self._observer.bytes_sent(self._name, tenant, len(request.body))
                self._written(tenant, request, written, "not_written")
            case Retry(trouble, text):
                self._observer.samples_retried(self._name, tenant, request.samples)
                self._warn("will try again", tenant, trouble.value, text)
            case Rejected(reason, text):
                self._written(tenant, request, outcome.written or Written(), reason)
                self._warn_rejected(tenant, reason, text, request)
            case Unsupported(text):
                self._written(tenant, request, Written(), "unsupported")
                self._warn_rejected(tenant, "unsupported", text, request)

    def _written(
        self, tenant: str, request: EncodedRequest, written: Written | None, reason: str
    ) -> None:
        """Count what was written, by default all, and what was not."""
        is_taken = written is None
        plain = request.samples - request.histograms
        if written is None:
            written = Written(plain, request.histograms, request.exemplars)
        histograms = min(written.histograms, request.histograms)
        samples = min(written.samples, plain) + histograms
        exemplars = min(written.exemplars, request.exemplars)
        observer, name = self._observer, self._name
        if samples:
            observer.samples_sent(name, tenant, samples)
        if samples < request.samples:
            observer.samples_failed(name, tenant, reason, request.samples - samples)
        if histograms:
            observer.histograms_sent(name, tenant, histograms)
        if exemplars:
            observer.exemplars_sent(name, tenant, exemplars)
        if exemplars < request.exemplars:
            observer.exemplars_failed(name, tenant, reason, request.exemplars - exemplars)
        if request.metadata and not is_taken:
            observer.metadata_failed(name, tenant, reason, request.metadata)
        elif request.metadata:
            observer.metadata_sent(name, tenant, request.metadata)

    def dropped(self, tenant: str, reason: str, samples: int) -> None:
        """``samples`` are not sent at all."""
        if samples:
            self._observer.samples_dropped(self._name, tenant, reason, samples)
            self._warn("samples dropped", tenant, reason, f"{samples} samples")

    def relabelled(self, tenant: str, samples: int) -> None:
        """``samples`` are left out by a rule: as the user wishes, so nothing is logged."""
        self._observer.samples_dropped(self._name, tenant, "relabelled", samples)

    def fell_back(self, message: Message, text: str) -> None:
        """The endpoint does not know ``message``."""
        _log.warning(
            "remote write to %s: the endpoint does not know %s, from now on it gets 1.0: %s",
            *(self._name, message.value, text[:_LOGGED_TEXT]),
        )

    def internal_error(self, tenant: str) -> None:
        """The exception being handled should not have been."""
        if self._log_limit.pass_through(tenant, "internal_error") is not None:
            _log.exception("remote write to %s for tenant %r: internal error", self._name, tenant)
        with suppress(Exception):
            self._observer.internal_error(self._name, tenant)

    def _warn_rejected(self, tenant: str, reason: str, text: str, request: EncodedRequest) -> None:
        """With one of the series: that which is to blame, if it was searched for."""
        what = "metadata rejected for good"
        if request.samples:
            count = "1 sample" if request.samples == 1 else f"{request.samples} samples"
            what = f"{count} rejected for good, such as {request.example()[:_LOGGED_TEXT]}"
        self._warn(what, tenant, reason, text)

    def _warn(self, what: str, tenant: str, reason: str, text: str) -> None:
        self._observer.trouble_seen(self._name, tenant, reason, text)
        suppressed = self._log_limit.pass_through(tenant, reason)
        if suppressed is not None:
            _log.warning(
                "remote write to %s for tenant %r: %s (%s): %s [%d more like this]",
                *(self._name, tenant, what, reason, text[:_LOGGED_TEXT], suppressed),
            )
