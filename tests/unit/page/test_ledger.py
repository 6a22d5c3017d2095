from collections.abc import Sequence

import numpy as np
import pytest

from consumer.page.codes import GONE, locate, renamed_keys, renaming
from consumer.page.ledger import Growth, Ledger, Rows


def rows(
    *series: tuple[int, float], newborn: Sequence[int] = (), ended: Sequence[int] = ()
) -> Rows:
    """Series as (key, value); ``newborn`` and ``ended`` are numbers of them."""
    numbers = np.arange(len(series))
    return Rows(
        keys=np.array([[key] for key, _ in series], np.uint32).reshape(-1, 1),
        values=np.array([[value] for _, value in series]).reshape(-1, 1),
        newborn=np.isin(numbers, list(newborn)),
        ended=np.isin(numbers, list(ended)),
    )


def by_key(growth: Growth) -> dict[int, float]:
    return dict(zip(growth.keys[:, 0].tolist(), growth.amounts[:, 0].tolist(), strict=True))


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(1)


def test_a_group_grows_by_what_its_series_grew_together(ledger: Ledger) -> None:
    ledger.take(rows((7, 10), (7, 20), (8, 1), newborn=[0, 1, 2]))
    assert by_key(ledger.take(rows((7, 15), (8, 1), (7, 21)))) == {7: 6, 8: 0}


def test_newborn_series_count_from_zero(ledger: Ledger) -> None:
    assert by_key(ledger.take(rows((7, 10), newborn=[0]))) == {7: 10}
    assert by_key(ledger.take(rows((7, 12), (7, 5), newborn=[1]))) == {7: 7}


def test_a_series_counts_up_to_its_end_and_no_more(ledger: Ledger) -> None:
    ledger.take(rows((7, 10), (7, 20), newborn=[0, 1]))
    assert by_key(ledger.take(rows((7, 11), (7, 20), ended=[0]))) == {7: 1}
    assert by_key(ledger.take(rows((7, 23)))) == {7: 3}


def test_a_series_that_comes_with_its_past_is_no_burst(ledger: Ledger) -> None:
    assert by_key(ledger.take(rows((7, 1_000_000)))) == {7: 0}
    assert by_key(ledger.take(rows((7, 1_000_004)))) == {7: 4}
    assert by_key(ledger.take(rows((7, 1_000_005), (7, 500), (7, 3), newborn=[2]))) == {7: 3}


def test_a_series_that_went_without_an_end_is_no_loss(ledger: Ledger) -> None:
    ledger.take(rows((7, 10), (7, 20), (8, 5), newborn=[0, 1, 2]))
    assert by_key(ledger.take(rows((7, 12)))) == {7: 0}
    assert by_key(ledger.take(rows((7, 15)))) == {7: 3}


def test_nothing_at_all_is_fine(ledger: Ledger) -> None:
    assert len(ledger.take(rows())) == 0


def test_other_widths_begin_anew() -> None:
    ledger = Ledger(1, 2)
    assert by_key(ledger.take(rows((7, 3), newborn=[0]))) == {7: 3}


def test_groups_follow_new_codes_of_their_strings(ledger: Ledger) -> None:
    ledger.take(rows((2, 10), (3, 20), newborn=[0, 1]))
    ledger.rename(renaming(["", "", "gone", "web"], ["", "", "web"]))
    assert by_key(ledger.take(rows((2, 24)))) == {2: 4}


def test_strings_that_are_no_more_have_a_code_of_none() -> None:
    renamed = renaming(["", "", "a", "b"], ["", "", "b"])
    assert renamed.tolist() == [0, 1, GONE, 2]
    again = renamed_keys(np.array([[2, 3], [GONE, 0]], np.uint32), renamed)
    assert again.tolist() == [[GONE, 2], [GONE, 0]]


def test_keys_are_located_by_all_their_columns() -> None:
    wanted = np.array([[1, 2], [3, 4]], np.uint32)
    keys = np.array([[3, 4], [1, 4], [1, 2], [9, 9]], np.uint32)
    assert locate(wanted, keys).tolist() == [1, -1, 0, -1]
    assert locate(wanted[:0], keys).tolist() == [-1] * 4
