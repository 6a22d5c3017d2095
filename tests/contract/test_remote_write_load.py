"""A large tenant, a receiver that takes its time and refuses one request in ten.

`make bench-remote-write` is the same with a million series.
"""

from __future__ import annotations

from benchmarks.remote_write import Load, run
from tests.support.slow_receiver import Temper


def test_nothing_is_lost_out_of_order_or_held_without_bound() -> None:
    load = Load(series=20_000, ticks=4, interval_s=0.2)
    sent = run(load, Temper(delay_s=0.03, refused=0.1))
    found = sent.found
    assert found.refused > 0
    assert sent.retried > 0
    assert sent.lost == 0
    assert found.faults == []
    assert (found.least, found.most) == (load.ticks, load.ticks)
    assert found.values == found.series * load.ticks
    assert found.at_once <= sent.most_shards
    # Every tick at once, as columns and as what is under way, is a fifth of this.
    assert sent.growth_bytes < 64 << 20
