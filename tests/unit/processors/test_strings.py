from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from processors.batch import ABSENT, EMPTY, Codes
from processors.strings import KeptStrings, Texts


def codes(*values: int) -> Codes:
    return np.array(values, np.uint32)


def kept(strings: KeptStrings, text: Sequence[str], *values: int) -> list[str]:
    return [strings.text[code] for code in strings.keep(text, codes(*values)).tolist()]


def test_texts_are_those_of_the_base_that_were_there_and_what_was_added() -> None:
    base = ["", "", "a", "b"]
    texts = Texts(base, 4, ["x"])
    base.append("later")
    assert list(texts) == ["", "", "a", "b", "x"]
    assert (texts[4], texts[2:5], len(texts)) == ("x", ["a", "b", "x"], 5)


def test_absent_and_empty_stay_what_they_are_in_any_shape() -> None:
    strings = KeptStrings()
    found = strings.keep(["", "", "a"], codes(ABSENT, EMPTY, 2, ABSENT).reshape(2, 2))
    assert found.tolist() == [[ABSENT, EMPTY], [2, ABSENT]]


def test_what_is_added_to_a_list_later_is_looked_up_when_it_is_asked_for() -> None:
    strings, base = KeptStrings(), ["", "", "a"]
    assert kept(strings, base, 2) == ["a"]
    base += ["b", "a"]
    assert kept(strings, base, 4, 3, 2) == ["a", "b", "a"]
    assert kept(strings, Texts(base, 4, ["c", "b"]), 5, 4, 3) == ["b", "c", "b"]
    assert kept(strings, Texts(base, 5, ["d"]), 5, 4) == ["d", "a"]


def test_what_nobody_asked_for_is_not_kept() -> None:
    strings = KeptStrings()
    strings.keep(Texts(["", "", "a", "b"], 4, ["c"]), codes(3))
    assert strings.text == ["", "", "b"]


def test_a_list_that_is_gone_is_not_taken_for_another_one() -> None:
    strings = KeptStrings()
    for number in range(100):
        text = ["", "", f"{number}"]
        assert kept(strings, text, 2) == [f"{number}"]
        del text


def test_validity_counts_when_a_string_is_kept_first() -> None:
    strings = KeptStrings()
    found = strings.keep(
        Texts(["", "", "fine", "\udcff"], 4, ["\udcfe"]),
        codes(2, 3, 4),
        np.array([True, True, True, False, False]),
    )
    assert strings.valid_rows([found]).tolist() == [True, False, False]


def test_codes_are_looked_up_anew_after_unused_strings_were_dropped() -> None:
    strings, base = KeptStrings(), ["", "", *(f"{number}" for number in range(60_000))]
    everything = strings.keep(base, np.arange(len(base), dtype=np.uint32))
    renamed = strings.compact([everything[[7, 50_000]]])
    assert renamed is not None
    assert kept(strings, base, 50_000, 3, 7) == [base[50_000], base[3], base[7]]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.lists(st.sampled_from(["", "a", "b", "c", "long one"]), max_size=4),
            st.lists(st.integers(0, 30), min_size=1, max_size=6),
        ),
        max_size=12,
    )
)
def test_every_code_means_what_it_meant_before(
    steps: list[tuple[int, list[str], list[int]]],
) -> None:
    strings, bases = KeptStrings(str.upper), [["", ""] for _ in range(4)]
    for which, added, asked in steps:
        base = bases[which]
        base += added[:2]
        text = Texts(base, len(base), added[2:])
        values = [code % len(text) for code in asked]
        found = strings.keep(text, codes(*values)).tolist()
        assert [strings.text[code] for code in found] == [text[code].upper() for code in values]
        assert [code == ABSENT for code in found] == [code == ABSENT for code in values]
