"""How long to wait before trying again."""

from __future__ import annotations

from random import Random


class Backoff:
    """Exponential backoff with full jitter: anywhere between nothing and a doubling limit.

    The limit begins at ``min_s`` and stops at ``max_s``. What the endpoint asks for with
    Retry-After goes before.
    """

    def __init__(self, min_s: float, max_s: float, random: Random) -> None:
        self._min_s = min_s
        self._max_s = max_s
        self._random = random

    def limit_s(self, attempt: int) -> float:
        """The longest wait after ``attempt`` failures (from 1)."""
        # 2**64 of anything is beyond every limit, and floats end at 2**1023.
        return min(self._max_s, self._min_s * 2.0 ** min(attempt - 1, 64))

    def wait_s(self, attempt: int, retry_after_s: float | None = None) -> float:
        """The wait after ``attempt`` failures (from 1)."""
        if retry_after_s is not None:
            return retry_after_s
        return self._random.uniform(0, self.limit_s(attempt))
