import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.kafka.client import IncomingRecord
from consumer.kafka.dead_letters import Origin
from consumer.kafka.intake import IntakeSettings, origin_of, take_in, tenants_of

HEADER = "X-Scope-OrgID"
NOW_MS = 5_000


def settings(*, tenant_in_key: bool = False) -> IntakeSettings:
    return IntakeSettings(HEADER, "single-tenant", tenant_in_key)


def incoming(
    *headers: tuple[str, bytes], key: bytes | None = None, partition: int = 0, time_ms: int = 1
) -> IncomingRecord:
    return IncomingRecord(partition, 0, time_ms, key, b"value", headers)


def tenant_of(record: IncomingRecord, *, tenant_in_key: bool = False) -> str | None:
    [found] = tenants_of([record], settings(tenant_in_key=tenant_in_key))
    return found


@pytest.mark.parametrize("name", [HEADER, HEADER.lower(), HEADER.upper()])
def test_the_header_names_the_tenant_in_any_case(name: str) -> None:
    assert tenant_of(incoming(("other", b"x"), (name, b"north"))) == "north"


def test_the_first_header_that_is_not_empty_counts() -> None:
    assert tenant_of(incoming((HEADER, b""), (HEADER, b"north"), (HEADER, b"south"))) == "north"


def test_a_record_without_the_header_is_of_the_default_tenant_whatever_its_key() -> None:
    assert tenant_of(incoming(key=b"0af7651916cd43dd8448eb211c80319c")) == "single-tenant"


def test_the_key_of_a_record_of_tempo_is_its_tenant_unless_a_header_is() -> None:
    assert tenant_of(incoming(key=b"north"), tenant_in_key=True) == "north"
    assert tenant_of(incoming((HEADER, b"south"), key=b"north"), tenant_in_key=True) == "south"
    assert tenant_of(incoming(key=b""), tenant_in_key=True) == "single-tenant"


@pytest.mark.parametrize(
    "name", [b"two words", b"tab\t", b"line\n", b"line\r\nX-Evil: 1", b"\xff", b"a\x00", b"x" * 257]
)
def test_a_tenant_that_cannot_stand_in_a_header_is_refused(name: bytes) -> None:
    assert tenant_of(incoming((HEADER, name))) is None


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=256))
def test_printable_tenants_are_taken_as_they_are(name: str) -> None:
    assert tenant_of(incoming((HEADER, name.encode()))) == name


@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_make_a_printable_tenant_or_none(name: bytes) -> None:
    found = tenant_of(incoming((HEADER, name)))
    assert found is None or (found.encode() == name and all(33 <= byte <= 126 for byte in name))


def test_columns_follow_the_records_that_are_kept() -> None:
    records = [
        incoming((HEADER, b"b"), partition=3, time_ms=10),
        incoming((HEADER, b"no no"), partition=4, time_ms=11),
        incoming((HEADER, b"a"), partition=5, time_ms=0),
        incoming((HEADER, b"b"), partition=3, time_ms=12),
    ]
    intake = take_in(records, tenants_of(records, settings()), [10, 11, NOW_MS, 12])
    assert intake.refused == [records[1]]
    assert intake.records == [records[0], records[2], records[3]]
    assert intake.raw.tenants == ("b", "a")
    np.testing.assert_array_equal(intake.raw.tenant, np.array([0, 1, 0], np.uint32))
    np.testing.assert_array_equal(intake.raw.time_ms, np.array([10, NOW_MS, 12]))
    np.testing.assert_array_equal(intake.raw.lane, np.array([3, 5, 3], np.uint32))


def test_no_records_make_no_columns() -> None:
    intake = take_in([], tenants_of([], settings()), [])
    assert len(intake.raw) == 0
    assert intake.raw.tenants == ()


def test_the_origin_of_a_record_is_all_that_kafka_says_about_it() -> None:
    record = IncomingRecord(2, 99, 123, b"key", b"value", [("a", b"1"), ("a", b"2")])
    assert origin_of(record, "spans") == Origin(
        "spans", 2, 99, 123, b"key", (("a", b"1"), ("a", b"2"))
    )
