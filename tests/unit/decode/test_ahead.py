from __future__ import annotations

import sys
from collections.abc import Iterator
from threading import current_thread
from threading import enumerate as living
from typing import Any

import pytest

from consumer.decode import Decoded, Encoding, RawRecords, open_decoder
from consumer.decode.ahead import DecodeAhead, open_ahead
from processors.batch import Projection
from tests.support.decoding import one_span
from tests.support.otlp import raw_records

FIRST, SECOND, BROKEN = one_span(name="first"), one_span(name="second"), b"\x0a\xff"
THREAD = "decode-ahead"


class Watched:
    """A decoder that notes in which thread it decodes how many records, or fails."""

    implementation = "python"

    def __init__(self, projection: Projection) -> None:
        self._decoder = open_decoder(Encoding.OTLP_PROTO, projection)
        self.seen: list[tuple[str, int]] = []
        self.error: Exception | None = None

    def decode(self, records: RawRecords) -> Decoded:
        self.seen.append((current_thread().name.partition("_")[0], len(records)))
        if self.error is not None:
            raise self.error
        return self._decoder.decode(records)


class Opened:
    """Decode-ahead with decoders that are watched."""

    def __init__(self) -> None:
        self.decoders: list[Watched] = []
        self.ahead = DecodeAhead(self._open)
        self.ahead.open(Projection())

    def seen(self) -> list[tuple[str, int]]:
        return [each for decoder in self.decoders for each in decoder.seen]

    def _open(self, projection: Projection) -> Watched:
        self.decoders.append(Watched(projection))
        return self.decoders[-1]


@pytest.fixture
def opened() -> Iterator[Opened]:
    opened = Opened()
    yield opened
    opened.ahead.close()


def names(decoded: Decoded) -> list[str]:
    batch = decoded.batch
    return [batch.strings.text[code] for code in batch.name.tolist()]


def test_what_was_expected_is_decoded_once_and_in_the_thread(opened: Opened) -> None:
    opened.ahead.expect([[FIRST, SECOND], [SECOND]])
    assert names(opened.ahead.decode(raw_records([FIRST, SECOND]))) == ["first", "second"]
    assert names(opened.ahead.decode(raw_records([SECOND]))) == ["second"]
    assert opened.seen() == [(THREAD, 2), (THREAD, 1)]


def test_tenants_times_and_lanes_are_those_of_the_records_that_are_decoded(opened: Opened) -> None:
    opened.ahead.expect([[FIRST, BROKEN]])
    asked = raw_records([FIRST, BROKEN], tenants=("north", "south"))
    decoded = opened.ahead.decode(asked)
    records = decoded.batch.records
    assert records.tenants == asked.tenants
    assert records.tenant.tolist() == asked.tenant.tolist()
    assert records.time_ms.tolist() == asked.time_ms.tolist()
    assert records.lane.tolist() == asked.lane.tolist()
    assert records.skip.tolist() == [False, False]
    assert [failure.record for failure in decoded.failures] == [1]


def test_what_was_not_expected_is_decoded_by_the_loop_itself(opened: Opened) -> None:
    opened.ahead.expect([[FIRST]])
    assert names(opened.ahead.decode(raw_records([SECOND]))) == ["second"]
    assert names(opened.ahead.decode(raw_records([FIRST]))) == ["first"]
    assert sorted(opened.seen()) == [("MainThread", 1), (THREAD, 1)]


def test_what_is_expected_next_does_not_put_off_what_is_due(opened: Opened) -> None:
    opened.ahead.expect([[FIRST]])
    opened.ahead.expect([[SECOND]])
    assert names(opened.ahead.decode(raw_records([FIRST]))) == ["first"]
    assert names(opened.ahead.decode(raw_records([SECOND]))) == ["second"]
    assert opened.seen() == [(THREAD, 1), (THREAD, 1)]


def test_what_was_expected_two_calls_before_is_forgotten(opened: Opened) -> None:
    opened.ahead.expect([[FIRST]])
    opened.ahead.expect([])
    opened.ahead.expect([])
    opened.ahead.decode(raw_records([FIRST]))
    assert ("MainThread", 1) in opened.seen()


def test_what_was_expected_before_other_attributes_are_asked_for_is_decoded_again(
    opened: Opened,
) -> None:
    opened.ahead.expect([[one_span(attrs={"zone": "a"})]])
    opened.ahead.open(Projection(span_keys=("zone",)))
    batch = opened.ahead.decode(raw_records([one_span(attrs={"zone": "a"})])).batch
    assert batch.strings.text[batch.attributes["zone"][0]] == "a"


def test_an_error_in_the_thread_reaches_the_loop(opened: Opened) -> None:
    for decoder in opened.decoders:
        decoder.error = MemoryError("no more")
    opened.ahead.expect([[FIRST]])
    with pytest.raises(MemoryError, match="no more"):
        opened.ahead.decode(raw_records([FIRST]))


def test_an_error_in_what_nobody_asks_for_any_more_is_nobodys(opened: Opened) -> None:
    opened.decoders[1].error = MemoryError("no more")
    opened.ahead.expect([[FIRST]])
    assert names(opened.ahead.decode(raw_records([SECOND]))) == ["second"]


def test_the_thread_ends_when_it_is_closed() -> None:
    before = set(living())
    opened = Opened()
    opened.ahead.expect([[FIRST]])
    opened.ahead.close()
    assert set(living()) <= before


@pytest.mark.parametrize(
    ("encoding", "cores"),
    [(Encoding.OTLP_PROTO, 1), (Encoding.TEMPO, 1.5), (Encoding.OTLP_JSON, 8)],
)
def test_nothing_is_decoded_ahead_where_that_gains_nothing(
    encoding: Encoding, cores: float
) -> None:
    assert open_ahead(encoding, cores) is None


def test_the_decoder_in_python_does_not_decode_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spanmill_native", None)
    assert open_ahead(Encoding.OTLP_PROTO, 2) is None


@pytest.mark.parametrize("encoding", [Encoding.OTLP_PROTO, Encoding.TEMPO])
def test_a_second_core_decodes_protobuf_ahead(
    encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake: Any = object()
    monkeypatch.setitem(sys.modules, "spanmill_native", fake)
    ahead = open_ahead(encoding, 2)
    assert ahead is not None
    ahead.close()
