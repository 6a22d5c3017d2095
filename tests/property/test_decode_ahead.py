"""Whether it is decoded ahead or not, the same comes of the same records, in the same order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.config import parse_config
from consumer.config.tenants import settings_by_tenant
from consumer.decode import Encoding, open_decoder
from consumer.decode.ahead import DecodeAhead
from consumer.kafka.client import IncomingRecord
from consumer.kafka.intake import IntakeSettings
from consumer.pipeline import open_pipeline
from consumer.span_side import SpanSide, SpanTime
from consumer.ticks.lane import Resumption
from processors.delta import DeltaFrame
from tests.support.otlp import START_NS, record, resource_spans, span

START_MS = START_NS // 1_000_000
BASE_MS, WAIT_MS, SKEW_MS = 1_000, 2_000, 3_000
LANES = (0, 1)
CONFIG = parse_config(
    f"metrics_generator: {{processor: {{service_graphs: {{wait: {WAIT_MS}ms}}}}}}", environ={}
)
INTAKE = IntakeSettings("tenant", "single-tenant", tenant_in_key=False)
TIME = SpanTime(BASE_MS, WAIT_MS, SKEW_MS, window_ms=2 * BASE_MS)


def value(kind: int, number: int) -> bytes:
    """A record of a client, a server that names it, or another span."""
    parent = (number - 1).to_bytes(8, "big") if kind == 2 else b""
    made = span(
        kind=kind,
        span_id=number.to_bytes(8, "big"),
        parent_span_id=parent,
        start_time_unix_nano=START_NS,
    )
    return record(resource_spans([made], service=f"service-{kind}"))


VALUES = st.one_of(
    st.builds(value, st.sampled_from([1, 2, 3]), st.integers(1, 9)),
    st.sampled_from([b"", b"\x0a\xff"]),
)
Came: TypeAlias = tuple[int, str, int, bytes]
CAME = st.tuples(
    st.sampled_from(LANES),
    st.sampled_from(["north", "north", "south", "no name", ""]),
    st.integers(-2_000, 6_000),
    VALUES,
)
POLLS = st.lists(st.lists(CAME, min_size=1, max_size=6), max_size=5)


def records_of(polls: Sequence[Sequence[Came]]) -> Iterator[list[IncomingRecord]]:
    offsets = dict.fromkeys(LANES, 0)
    for poll in polls:
        made = []
        for lane, tenant, after_ms, spans in poll:
            headers = [("tenant", tenant.encode())]
            time_ms = START_MS + after_ms
            made.append(IncomingRecord(lane, offsets[lane], time_ms, None, spans, headers))
            offsets[lane] += 1
        yield made


def plain(made: Any) -> Any:
    """Arrays and objects as values that can be compared; labels as texts, whatever their codes."""
    if isinstance(made, np.ndarray):
        return made.tolist()
    if isinstance(made, DeltaFrame):
        texts = [[made.strings[code] for code in row] for row in made.labels.tolist()]
        others = {field.name: plain(getattr(made, field.name)) for field in fields(made)}
        return {**others, "labels": texts, "strings": None}
    if is_dataclass(made):
        return {field.name: plain(getattr(made, field.name)) for field in fields(made)}
    if isinstance(made, list | tuple):
        return [plain(each) for each in made]
    return made


def outcome(
    polls: Sequence[Sequence[Came]],
    *,
    ahead: DecodeAhead | None = None,
    resumption: Resumption | None = None,
    foretold: Sequence[Sequence[Came]] | None = None,
) -> tuple[list[Any], list[Any], list[Any]]:
    """What the span side made of ``polls``, whom it buried, and where its lanes stand.

    It is told to expect each poll while the one before is processed, or else ``foretold``.
    """
    buried: list[Any] = []
    side = SpanSide(
        open_pipeline(CONFIG, settings_by_tenant(CONFIG), ahead),
        INTAKE,
        TIME,
        lambda *letter: buried.append(letter),
        ahead,
    )
    for lane in LANES:
        side.open(lane, resumption)
    made = []
    records = list(records_of(polls))
    upcoming = records if foretold is None else list(records_of(foretold))
    side.expect(upcoming[0] if upcoming else (), START_MS)
    for number, poll in enumerate(records):
        following = upcoming[number + 1] if number + 1 < len(upcoming) else ()
        made += [plain(ticked) for ticked in side.push(poll, START_MS, following)]
    for lane, state in side.lanes.items():
        if state.clock_ms is not None:
            made += [plain(ticked) for ticked in side.pass_time(lane, state.clock_ms + 10_000)]
    return made, buried, [lane.resumption() for lane in side.lanes.values()]


@pytest.fixture(scope="module")
def ahead() -> Iterator[DecodeAhead]:
    with closing(DecodeAhead(partial(open_decoder, Encoding.OTLP_PROTO))) as ahead:
        yield ahead


RESUMPTIONS = st.builds(
    Resumption,
    next_offset=st.integers(0, 5),
    from_offset=st.just(0),
    from_ms=st.just(START_MS - 1_000),
    clock_ms=st.integers(START_MS, START_MS + 3_000),
)


@given(polls=POLLS, resumption=st.none() | RESUMPTIONS)
@settings(max_examples=200)
def test_decoding_ahead_changes_nothing(
    ahead: DecodeAhead, polls: list[list[Came]], resumption: Resumption | None
) -> None:
    in_loop = outcome(polls, resumption=resumption)
    assert outcome(polls, resumption=resumption, ahead=ahead) == in_loop


@given(polls=POLLS, foretold=POLLS)
@settings(max_examples=100)
def test_to_expect_what_does_not_come_changes_nothing(
    ahead: DecodeAhead, polls: list[list[Came]], foretold: list[list[Came]]
) -> None:
    assert outcome(polls, ahead=ahead, foretold=foretold) == outcome(polls)
