import pytest

from consumer.kafka.client import Fate
from consumer.kafka.dead_letters import MAX_UNCONFIRMED, DeadLetters, Origin
from tests.support.fakes import FakeWriter

ORIGIN = Origin("spans", 3, 42, 1_700, b"key", (("X-Scope-OrgID", b"north"), ("a", b"\x00")))
NOW_S = 0.0


@pytest.fixture
def writer() -> FakeWriter:
    return FakeWriter()


@pytest.fixture
def letters(writer: FakeWriter) -> DeadLetters:
    return DeadLetters("dead", writer, "1.2.3")


def test_a_letter_says_where_it_came_from_and_what_is_wrong(
    letters: DeadLetters, writer: FakeWriter
) -> None:
    letters.add(b"value", ORIGIN, "malformed_protobuf", "truncated at 3")
    assert letters.confirm(NOW_S)
    (letter,) = writer.written
    assert (letter.topic, letter.key, letter.value) == ("dead", b"key", b"value")
    assert letter.headers == [
        *ORIGIN.headers,
        ("spanmill.origin.topic", b"spans"),
        ("spanmill.origin.partition", b"3"),
        ("spanmill.origin.offset", b"42"),
        ("spanmill.origin.timestamp", b"1700"),
        ("spanmill.error.class", b"malformed_protobuf"),
        ("spanmill.error.text", b"truncated at 3"),
        ("spanmill.version", b"1.2.3"),
    ]


def test_any_error_text_fits_a_header(letters: DeadLetters, writer: FakeWriter) -> None:
    letters.add(b"", ORIGIN, "malformed_json", "\udcff" + "Ω" * 5_000)
    letters.confirm(NOW_S)
    text = dict(writer.written[0].headers)["spanmill.error.text"]
    assert text.startswith(b"\\udcff")
    assert len(text) == 1_024


def test_without_a_topic_nothing_is_kept() -> None:
    letters = DeadLetters("", None, "1")
    for _ in range(MAX_UNCONFIRMED):
        letters.add(b"value", ORIGIN, "malformed_protobuf", "")
    assert letters.confirm(NOW_S)
    assert not letters.is_full


def test_what_fails_is_sent_again_until_it_is_taken(
    letters: DeadLetters, writer: FakeWriter
) -> None:
    writer.failure = "no leader"
    letters.add(b"one", ORIGIN, "malformed_protobuf", "")
    letters.add(b"two", ORIGIN, "malformed_protobuf", "")
    assert not letters.confirm(NOW_S)
    assert not letters.confirm(NOW_S)
    writer.failure = ""
    letters.add(b"three", ORIGIN, "malformed_protobuf", "")
    assert letters.confirm(NOW_S)
    assert sorted(letter.value for letter in writer.written) == [b"one", b"three", b"two"]
    assert letters.answers() == {Fate.FAILED: 4, Fate.WRITTEN: 3}
    assert letters.answers() == {}


def test_what_is_refused_for_good_is_given_up(letters: DeadLetters, writer: FakeWriter) -> None:
    writer.refused.add(b"large")
    letters.add(b"large", ORIGIN, "malformed_protobuf", "")
    letters.add(b"small", ORIGIN, "malformed_protobuf", "")
    assert letters.confirm(NOW_S)
    assert [letter.value for letter in writer.written] == [b"small"]
    assert letters.answers() == {Fate.REFUSED: 1, Fate.WRITTEN: 1}


def test_a_thousand_unconfirmed_letters_are_enough(
    letters: DeadLetters, writer: FakeWriter
) -> None:
    writer.failure = "no leader"
    for _ in range(MAX_UNCONFIRMED):
        assert not letters.is_full
        letters.add(b"value", ORIGIN, "malformed_protobuf", "")
    assert letters.is_full
    assert not letters.confirm(NOW_S)
    assert len(writer.queued) == MAX_UNCONFIRMED
    writer.failure = ""
    assert letters.confirm(NOW_S)
    assert not letters.is_full
