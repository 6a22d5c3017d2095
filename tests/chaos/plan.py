"""What will happen and when: the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

QUIET_S = 3.0
"""At the beginning and at the end of the load nothing happens."""

PEAK, FINAL = 4, 2
"""Workers: one at first, three soon, then up to four and down to two."""


class Deed(Enum):
    """What is done to the system."""

    KILL = "kills"
    """``kill -9`` of a worker, which is started again."""
    KILL_UNHEARD = "kills_unheard"
    """``kill -9`` of a worker whose last tick was taken, but that did not hear of it."""
    RESTART = "restarts"
    """A worker is told to stop, and is started again."""
    SCALE = "scalings"
    """To so many workers."""
    SINK = "sink_failures"
    """The way to Prometheus fails in one of its manners for a while."""
    BROKER = "broker_restarts"
    """The broker is stopped and started again; the load waits."""
    FREEZE = "freezes"
    """A worker stands still for longer than its session, and goes on as if nothing were."""
    USURP = "usurpations"
    """A worker stands still while another of its name takes its place, and then goes on."""


@dataclass(frozen=True, slots=True)
class Step:
    """``deed`` at ``at_s`` of the load. ``number``: the workers to scale to."""

    at_s: float
    deed: Deed
    number: int = 0


@dataclass(frozen=True, slots=True)
class Violence:
    """How much is done. A run of ``seconds`` holds ``kills`` and the others besides."""

    kills: int
    seconds: float
    seed: int
    others: tuple[Deed, ...] = (
        Deed.SINK,
        Deed.FREEZE,
        Deed.RESTART,
        Deed.BROKER,
        Deed.USURP,
        Deed.SINK,
        Deed.RESTART,
    )
    """Done once each, in an order of chance, and again in runs of many kills."""


KILLS_A_ROUND = 20
"""For so many kills the other deeds are done once."""


def plan(violence: Violence) -> Sequence[Step]:
    """The steps in the order of their time. Without violence there is nothing but one worker."""
    if not violence.kills and not violence.others:
        return []
    chance = random.Random(violence.seed)  # noqa: S311  repeatable, not secret
    rounds = 1 + violence.kills // KILLS_A_ROUND
    deeds = [Deed.KILL] * violence.kills + list(violence.others) * rounds
    chance.shuffle(deeds)
    span_s = violence.seconds - 2 * QUIET_S
    beat_s = span_s / (len(deeds) + 1)
    steps = [
        Step(QUIET_S + beat_s * (place + 1 + chance.uniform(-0.3, 0.3)), deed)
        for place, deed in enumerate(deeds)
    ]
    shares = ((0.0, 3), (0.4, PEAK), (0.8, FINAL))
    steps += [Step(QUIET_S + span_s * share, Deed.SCALE, number) for share, number in shares]
    return sorted(steps, key=lambda step: step.at_s)
