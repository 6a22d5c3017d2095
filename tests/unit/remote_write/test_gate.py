from __future__ import annotations

from math import inf
from random import Random

import pytest

from consumer.remote_write.backoff import Backoff
from consumer.remote_write.gate import Gate


@pytest.fixture
def gate() -> Gate:
    return Gate(Backoff(1.0, 8.0, Random(1)))  # noqa: S311


def fail(gate: Gate, tenant: str, now_s: float) -> None:
    gate.begin()
    gate.failed(tenant, now_s, None)


def test_one_failing_tenant_does_not_close_it(gate: Gate) -> None:
    for now_s in range(10):
        fail(gate, "a", now_s)
    assert gate.ready_s() == -inf


def test_two_failing_tenants_close_it(gate: Gate) -> None:
    fail(gate, "a", 10)
    fail(gate, "b", 10)
    assert 10 < gate.ready_s() <= 11


def test_failures_with_an_answer_between_do_not_close_it(gate: Gate) -> None:
    fail(gate, "a", 10)
    gate.begin()
    gate.answered("c", 10)
    fail(gate, "b", 10)
    assert gate.ready_s() == -inf


def test_a_closed_gate_lets_one_request_through_at_a_time(gate: Gate) -> None:
    fail(gate, "a", 10)
    fail(gate, "b", 10)
    gate.begin()
    assert gate.ready_s() == inf
    gate.failed("a", 20, None)
    assert 20 < gate.ready_s() <= 28


def test_an_answer_opens_it(gate: Gate) -> None:
    fail(gate, "a", 10)
    fail(gate, "b", 10)
    gate.begin()
    gate.answered("c", 20)
    assert gate.ready_s() == -inf


def test_retry_after_holds_for_the_whole_closed_gate(gate: Gate) -> None:
    fail(gate, "a", 10)
    gate.begin()
    gate.failed("b", 10, 60.0)
    assert gate.ready_s() == 70


def test_only_a_later_request_of_another_tenant_shows_that_the_endpoint_works(gate: Gate) -> None:
    def answer(tenant: str, begun_s: float) -> None:
        gate.begin()
        gate.answered(tenant, begun_s)

    assert not gate.others_answered("a", 10)
    answer("b", 9)
    answer("a", 11)
    assert not gate.others_answered("a", 10)
    answer("b", 12)
    assert gate.others_answered("a", 10)
    answer("a", 13)
    assert gate.others_answered("a", 10)
    assert gate.others_answered("c", 10)
