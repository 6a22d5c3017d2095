"""How much a seam does in one turn of the worker's loop, and how it waits at the end."""

from __future__ import annotations

from collections.abc import Callable

from consumer.clock import Clock

TICKS_A_TURN = 16
TURN_S = 0.1
"""So that the loop turns while many ticks are made up for: none is begun after that time."""

WAIT_S = 0.02
"""Between two looks at whether something was delivered."""


def tell_for_a_turn(tell: Callable[[], bool], clock: Clock) -> int:
    """Let ``tell`` tell one tick after another, until it has none; how many there were."""
    end_s = clock.monotonic_s() + TURN_S
    for told in range(TICKS_A_TURN):
        is_over = told and clock.monotonic_s() >= end_s
        if is_over or not tell():
            return told
    return TICKS_A_TURN
