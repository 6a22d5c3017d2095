from __future__ import annotations

from consumer.remote_write.collapse import collapse
from consumer.remote_write.series import MetricType, SeriesBlock
from tests.unit.remote_write.fakes import block


def kept(old: SeriesBlock, *new: SeriesBlock) -> list[str]:
    return [of.strings[code] for of in collapse([old], new) for code in of.labels[:, 0].tolist()]


def test_rows_that_the_next_tick_has_again_are_superfluous() -> None:
    assert kept(block([["a"], ["b"]]), block([["b"], ["a"], ["c"]])) == []


def test_rows_with_a_beginning_or_an_end_are_kept() -> None:
    old = block([["a"], ["b"], ["c"]], newborn=[0], ended=[2])
    assert kept(old, block([["a"], ["b"], ["c"]])) == ["a", "c"]


def test_a_gauge_that_begins_has_nothing_to_keep() -> None:
    old = block([["a"]], kind=MetricType.GAUGE, newborn=[0])
    assert kept(old, block([["a"]], kind=MetricType.GAUGE)) == []


def test_the_last_value_of_a_series_that_ends_next_is_kept() -> None:
    assert kept(block([["a"], ["b"]]), block([["a"], ["b"]], ended=[1])) == ["b"]


def test_rows_that_the_next_tick_lacks_are_kept() -> None:
    assert kept(block([["a"], ["b"]]), block([["b"]])) == ["a"]
    assert kept(block([["a"]])) == ["a"]
    assert kept(block([["a"]]), block([["a"]], name="other_total")) == ["a"]
    assert kept(block([["a"]]), block([["a"]], constant=(("le", "1"),))) == ["a"]


def test_series_are_told_apart_by_their_text_and_not_by_codes_or_order() -> None:
    old = block([["x", ""]], label_names=("a", "b"))
    assert kept(old, block([["", "x", "y"], ["", "x", ""]], label_names=("b", "a", "c"))) == []


def test_what_is_kept_keeps_its_columns_and_only_its_strings() -> None:
    old = block([["a", "q"], ["b", "p"]], [3, 4], label_names=("x", "y"), newborn=[1], start_ms=9)
    (of,) = collapse([old], [old])
    assert of.strings == ["b", "p"]
    assert of.labels.tolist() == [[0, 1]]
    assert (of.values.tolist(), of.start_ms.tolist()) == ([4.0], [9])
    assert (of.newborn.tolist(), of.ended.tolist()) == ([True], [False])
    assert (of.name, of.label_names) == (old.name, old.label_names)


def test_series_without_labels_collapse_too() -> None:
    old = block([[]], label_names=())
    assert collapse([old], [old]) == []
    (of,) = collapse([old], [])
    assert of.labels.shape == (1, 0)
