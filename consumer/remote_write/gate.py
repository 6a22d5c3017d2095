"""Whether an endpoint as a whole is down, and who may try it meanwhile."""

from __future__ import annotations

from math import inf

from consumer.remote_write.backoff import Backoff


class Gate:
    """Closes when two tenants fail with no answer between; any answer opens it.

    A closed gate lets one request at a time through, with a backoff of its own, so that
    an outage is probed at the same rate however many tenants wait. A single failing
    tenant does not close it: its own backoff is enough. An answer is whatever shows that
    the endpoint works, a refusal included.

    Times are of the monotonic clock. Not safe for threads.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._failing: str | None = None
        self._failures = 0
        self.in_flight = 0
        self._ready_s = -inf
        self._last_answer: tuple[str, float] = ("", -inf)
        self._last_answer_of_another: tuple[str, float] = ("", -inf)
        self.closed = False

    def ready_s(self) -> float:
        """From when on a request may begin; infinity while one has to end first."""
        if not self.closed:
            return -inf
        return inf if self.in_flight else self._ready_s

    def apply(self, backoff: Backoff) -> None:
        """Wait as ``backoff`` says from now on."""
        self._backoff = backoff

    def begin(self) -> None:
        """A request goes out."""
        self.in_flight += 1

    def abort(self) -> None:
        """A request was not sent after all."""
        self.in_flight -= 1

    def answered(self, tenant: str, begun_s: float) -> None:
        """A request begun at ``begun_s`` was answered, whatever the answer."""
        self.in_flight -= 1
        if tenant != self._last_answer[0]:
            self._last_answer_of_another = self._last_answer
        self._last_answer = (tenant, begun_s)
        self.closed = False
        self._failing = None
        self._failures = 0

    def failed(self, tenant: str, now_s: float, retry_after_s: float | None) -> None:
        """A request found the endpoint not working."""
        self.in_flight -= 1
        if self._failing not in (None, tenant):
            self.closed = True
        self._failing = tenant
        if self.closed:
            self._failures += 1
            self._ready_s = now_s + self._backoff.wait_s(self._failures, retry_after_s)

    def others_answered(self, tenant: str, since_s: float) -> bool:
        """Whether a request of another tenant, begun after ``since_s``, was answered."""
        last = self._last_answer
        if last[0] == tenant:
            last = self._last_answer_of_another
        return last[1] > since_s

    def hurry(self) -> None:
        """Forget the backoff."""
        self._ready_s = -inf
