from threading import Event

import pytest
from confluent_kafka import KafkaError, KafkaException

from consumer.kafka.patience import HungError, call_patiently

WAIT_S = 0.01


def test_it_returns_when_the_call_does() -> None:
    made: list[str] = []
    call_patiently(lambda: made.append("call"), lambda: True, wait_s=5.0, waits=1)
    assert made == ["call"]


def test_an_error_of_the_client_is_raised_as_it_is() -> None:
    error = KafkaException(KafkaError(KafkaError._FENCED))

    def fail() -> None:
        raise error

    with pytest.raises(KafkaException) as raised:
        call_patiently(fail, lambda: True, wait_s=5.0, waits=1)
    assert raised.value is error


def test_a_call_that_goes_on_while_brokers_answer_twice_is_given_up() -> None:
    answers = iter([False, True, False, True])
    end = Event()
    with pytest.raises(HungError):
        call_patiently(end.wait, lambda: next(answers), wait_s=WAIT_S, waits=10)
    assert list(answers) == []
    end.set()


def test_a_call_that_goes_on_is_given_up_in_the_end_though_no_broker_answers() -> None:
    answers = iter([False, False, False])
    end = Event()
    with pytest.raises(HungError):
        call_patiently(end.wait, lambda: next(answers), wait_s=WAIT_S, waits=3)
    assert list(answers) == []
    end.set()


def test_a_call_that_returns_late_is_waited_for_while_no_broker_answers() -> None:
    end = Event()

    def answer() -> bool:
        end.set()
        return False

    call_patiently(end.wait, answer, wait_s=WAIT_S, waits=10)
    assert end.is_set()
