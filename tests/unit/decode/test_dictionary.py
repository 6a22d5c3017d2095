from __future__ import annotations

from consumer.decode.dictionary import Dictionary
from processors.batch import ABSENT, EMPTY


def test_codes_are_given_in_the_order_of_first_use() -> None:
    dictionary = Dictionary()
    codes = [dictionary[text] for text in (b"b", None, b"a", b"", b"b")]
    assert codes == [2, ABSENT, 3, EMPTY, 2]
    assert dictionary.strings().text == ["", "", "b", "a"]


def test_text_that_is_not_utf8_is_escaped_and_marked() -> None:
    dictionary = Dictionary()
    for text in (b"fine", b"\xff", b"caf\xc3\xa9"):
        dictionary[text]
    strings = dictionary.strings()
    assert strings.text == ["", "", "fine", "\udcff", "caf\u00e9"]
    assert strings.valid.tolist() == [True, True, True, False, True]
