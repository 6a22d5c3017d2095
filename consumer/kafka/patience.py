"""Calls of the Kafka client that may never return.

librdkafka's `rd_kafka_send_offsets_to_transaction` ignores its timeout: when the coordinator
of the group went away meanwhile, it may wait for ever, though the broker is back and the other
calls work (librdkafka issues 5456 and 5511, open with 2.16).
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread


class HungError(Exception):
    """A call does not return, and will not be waited for any longer."""


def call_patiently(
    call: Callable[[], object], is_reachable: Callable[[], bool], *, wait_s: float, waits: int
) -> None:
    """Return when ``call`` does, and raise what it raises.

    Each ``wait_s`` it is asked whether the brokers ``is_reachable``. Raises
    :class:`HungError` when they were twice while the call went on, or after ``waits``. The
    thread of such a call is left alone, with all that the call holds.
    """
    own = _Call(call)
    own.start()
    reached = 0
    for _ in range(waits):
        own.join(wait_s)
        if not own.is_alive():
            if own.error is not None:
                raise own.error
            return
        reached += is_reachable()
        if reached > 1:
            break
    raise HungError


class _Call(Thread):
    """A daemon, so that a process can end without it."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(name="kafka-call", daemon=True)
        self._call = call
        self.error: Exception | None = None

    def run(self) -> None:
        """Call, and keep what is raised for whoever waits."""
        try:
            self._call()
        except Exception as error:  # noqa: BLE001  raised again by whoever waits
            self.error = error
