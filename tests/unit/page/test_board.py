import math

import numpy as np
import pytest

from consumer.page.board import POINTS, WINDOW_TICKS, Board, Rhythm
from consumer.page.ledger import Growth

TEXT = ["", "", *(f"s{number}" for number in range(2, 60))]


class Ticks:
    """A board with its rhythm; ticks are written as {code: (requests, failures)}."""

    def __init__(self, capacity: int = 4, seconds: float = 10.0) -> None:
        self.rhythm = Rhythm()
        self.board = Board(1, capacity, self.rhythm)
        self.seconds = seconds

    def take(self, grown: dict[int, tuple[float, float]]) -> None:
        self.rhythm.take(self.seconds, 0)
        keys = np.array([[key] for key in grown], np.uint32).reshape(-1, 1)
        amounts = np.array(list(grown.values()), float).reshape(-1, 2)
        self.board.take(Growth(keys, amounts), TEXT)

    def rates(self) -> dict[str, tuple[float, float]]:
        rates = self.board.rates()
        return {
            (self.board.names[slot] or ("",))[0]: tuple(rates[slot].tolist())
            for slot in self.board.followed().tolist()
        }


def test_rates_are_over_the_last_minute() -> None:
    ticks = Ticks()
    ticks.take({2: (6_000, 600)})
    for _ in range(6):
        ticks.take({2: (20, 5)})
    assert ticks.rates() == {"s2": (2.0, 0.5)}


def test_rates_are_over_one_tick_at_least() -> None:
    ticks = Ticks(seconds=300)
    ticks.take({2: (600, 0)})
    ticks.take({2: (300, 0)})
    assert ticks.rates() == {"s2": (1.0, 0.0)}


def test_the_window_is_bounded_in_ticks() -> None:
    ticks = Ticks(seconds=0.1)
    for _ in range(WINDOW_TICKS + 20):
        ticks.take({2: (1, 0)})
    assert ticks.rhythm.window == WINDOW_TICKS


def test_a_newcomer_has_no_history_and_a_rate_of_its_own_time() -> None:
    ticks = Ticks()
    for _ in range(3):
        ticks.take({2: (10, 0)})
    ticks.take({2: (10, 0), 3: (40, 4)})
    assert ticks.rates() == {"s3": (4.0, 0.4), "s2": (1.0, 0.0)}
    slot = ticks.board.names.index(("s3",))
    history = ticks.board.history[:, slot, 0].tolist()
    assert len(history) == POINTS
    assert history[-1] == 40
    assert all(math.isnan(value) for value in history[:-1])


def test_a_group_without_series_gives_its_slot_back() -> None:
    ticks = Ticks()
    ticks.take({2: (10, 0), 3: (10, 0)})
    ticks.take({3: (10, 0)})
    assert list(ticks.rates()) == ["s3"]
    assert ("s2",) not in ticks.board.names


def test_no_more_groups_than_slots_are_followed_and_all_are_counted() -> None:
    ticks = Ticks(capacity=3)
    ticks.take({code: (code, 0) for code in range(2, 42)})
    assert list(ticks.rates()) == ["s41", "s40", "s39"]
    assert ticks.board.groups == 40


def test_a_much_busier_newcomer_takes_the_place_of_the_idlest() -> None:
    ticks = Ticks(capacity=3)
    ticks.take({2: (10, 0), 3: (20, 0), 4: (30, 0)})
    ticks.take({2: (10, 0), 3: (20, 0), 4: (30, 0), 5: (19, 0), 6: (18, 0)})
    assert set(ticks.rates()) == {"s2", "s3", "s4"}
    ticks.take({2: (10, 0), 3: (20, 0), 4: (30, 0), 5: (21, 0), 6: (900, 0)})
    assert set(ticks.rates()) == {"s6", "s3", "s4"}


@pytest.mark.parametrize("bounds", [[0.1, math.inf], [0.1, 1.0, math.inf]])
def test_what_is_measured_adds_up_over_the_window(bounds: list[float]) -> None:
    ticks = Ticks()
    for _ in range(2):
        ticks.take({2: (10, 0)})
        amounts = np.arange(1.0, len(bounds) + 1)[np.newaxis]
        ticks.board.measure(Growth(np.array([[2]], np.uint32), amounts), np.array(bounds))
    slot = ticks.board.names.index(("s2",))
    assert ticks.board.measured()[slot].tolist() == [2.0, 4.0, 6.0][: len(bounds)]


def test_other_bounds_forget_what_was_measured() -> None:
    ticks = Ticks()
    ticks.take({2: (10, 0)})
    key = np.array([[2]], np.uint32)
    ticks.board.measure(Growth(key, np.array([[5.0, 6.0]])), np.array([0.1, math.inf]))
    ticks.board.measure(Growth(key, np.array([[1.0]])), np.array([math.inf]))
    assert ticks.board.measured()[ticks.board.names.index(("s2",))].tolist() == [1.0]
