import os
import signal
from threading import Event

from consumer.signals import hang_up_sets, stop_signals


def test_a_hang_up_stops_unless_something_else_is_wanted_of_it() -> None:
    before = signal.getsignal(signal.SIGHUP)
    wanted = Event()
    with stop_signals() as stop:
        with hang_up_sets(wanted):
            os.kill(os.getpid(), signal.SIGHUP)
            assert wanted.wait(5)
            assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.wait(5)
    assert signal.getsignal(signal.SIGHUP) is before
