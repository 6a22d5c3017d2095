"""Random halves: both pairings agree, batches do not matter, and no half is lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.acceleration import NativePairing
from processors.service_graphs.pairing import Pairing, Side
from processors.service_graphs.python_pairing import PythonPairing
from tests.support.decoding import IMPLEMENTATIONS, Implementation, require
from tests.support.pairing import Feed, Half, Lists, Record


@st.composite
def halves(draw: st.DrawFn) -> Half:
    """Few keys, so that most halves meet another; keys of different tenants differ."""
    tenant = draw(st.integers(0, 1))
    own, parent = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    return Half(draw(st.sampled_from(Side)), own * 2 + tenant, parent * 2 + tenant, tenant)


def after_speakers(drawn: Sequence[Half]) -> Sequence[Half]:
    """``drawn`` with the links put after consumers: those of the same tenant."""
    kept: list[Half] = []
    speaks = False
    for half in drawn:
        if half.side is not Side.LINK:
            speaks = half.side is Side.SERVER
        elif not speaks or half.tenant != kept[-1].tenant:
            continue
        kept.append(half)
    return kept


RECORDS = st.lists(
    st.builds(
        Record,
        st.lists(halves(), max_size=8).map(after_speakers),
        time_ms=st.integers(0, 40),
        lane=st.integers(0, 2),
    ),
    max_size=14,
)
LIMITS = st.tuples(st.integers(0, 15), st.integers(0, 6), st.integers(1, 20))
"""Wait, pending, remembered."""

UNCOUNTED = (Side.LINK, Side.FILTERED_CLIENT, Side.FILTERED_SERVER, Side.NAMELESS)

CUTS = st.sets(st.integers(1, 13))


def make(implementation: Implementation, limits: tuple[int, int, int]) -> Feed:
    wait_ms, max_pending, max_remembered = limits
    make = NativePairing if implementation == "native" else PythonPairing
    pairing: Pairing = make(max_remembered)
    return Feed(pairing, wait_ms, max_pending)


def cut(records: Sequence[Record], cuts: set[int]) -> list[Sequence[Record]]:
    bounds = [0, *sorted(at for at in cuts if at < len(records)), len(records)]
    return [records[start:end] for start, end in pairwise(bounds)]


def everything(feed: Feed, batches: Sequence[Sequence[Record]]) -> Lists:
    """All that comes of ``batches``, and of time running out in lane 0."""
    found: Lists = defaultdict(list)
    for pairs in [*map(feed.push, batches), feed.advance(0, 1_000)]:
        for name, values in pairs.items():
            found[name] += values
    return found


@given(records=RECORDS, limits=LIMITS, cuts=CUTS)
def test_both_pairings_agree_after_every_batch(
    records: Sequence[Record], limits: tuple[int, int, int], cuts: set[int]
) -> None:
    require("native")
    native, python = make("native", limits), make("python", limits)
    for batch in cut(records, cuts):
        assert native.push(batch) == python.push(batch)
        assert native.pairing.pending() == python.pairing.pending()
        assert native.pairing.remembered() == python.pairing.remembered()
        assert native.pairing.oldest() == python.pairing.oldest()
    for lane in range(3):
        assert native.advance(lane, 45) == python.advance(lane, 45)
        assert native.close(lane) == python.close(lane)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@given(records=RECORDS, limits=LIMITS, cuts=CUTS)
def test_it_does_not_matter_how_records_are_cut_into_batches(
    implementation: Implementation,
    records: Sequence[Record],
    limits: tuple[int, int, int],
    cuts: set[int],
) -> None:
    require(implementation)
    whole = everything(make(implementation, limits), [records])
    assert everything(make(implementation, limits), cut(records, cuts)) == whole


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@given(records=RECORDS, limits=LIMITS)
def test_every_half_comes_to_exactly_one_end(
    implementation: Implementation, records: Sequence[Record], limits: tuple[int, int, int]
) -> None:
    require(implementation)
    feed = make(implementation, limits)
    found = everything(feed, [records])
    ends = ("settled", "closed", "repeated", "expired", "evicted", "excused")
    ended = [number for name in ends for number in found[name]]
    ended += [couple[1] for couple in found["absorbed"]]
    pending = [number for lane in range(3) for number in feed.close(lane)]
    sides = [half.side for record in records for half in record.halves]
    counted = [number for number, side in enumerate(sides) if side not in UNCOUNTED]
    assert sorted([*ended, *pending]) == counted
    assert (feed.pairing.pending(), feed.pairing.remembered()) == (0, 0)
