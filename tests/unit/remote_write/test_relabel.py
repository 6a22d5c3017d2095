from __future__ import annotations

import hashlib
from typing import Any

import pytest

from consumer.remote_write.relabel import Relabeller, Rule
from consumer.remote_write.series import SeriesBlock
from tests.unit.remote_write.fakes import block

ROWS = [["web", "GET"], ["db", "SELECT"], ["web", ""]]


def relabelled(*rules: Rule, of: SeriesBlock | None = None) -> list[tuple[dict[str, str], float]]:
    """Labels and value of each series that is left."""
    given = of or block(ROWS, [1, 2, 3], label_names=("service", "verb"), constant=(("le", "1"),))
    found = []
    for made in Relabeller(rules).apply([given], lambda _: None):
        assert len(made.newborn) == len(made.start_ms) == len(made.ended) == len(made)
        for row, value in enumerate(made.values.tolist()):
            texts = [made.strings[code] for code in made.labels[row].tolist()]
            labels = dict(zip(made.label_names, texts, strict=True)) | dict(made.constant_labels)
            labels["__name__"] = made.name
            found.append(({key: text for key, text in labels.items() if text}, value))
    return found


def services(*rules: Rule) -> list[str | None]:
    return [labels.get("service") for labels, _ in relabelled(*rules)]


def values(*rules: Rule) -> list[float]:
    return [value for _, value in relabelled(*rules)]


def rule(action: str, *source: str, **more: Any) -> Rule:
    return Rule(action=action, source_labels=source, **more)


def test_without_rules_nothing_changes() -> None:
    given = block(ROWS, label_names=("service", "verb"))
    assert list(Relabeller(()).apply([given], lambda _: None)) == [given]


def test_keep_and_drop_match_the_whole_value() -> None:
    assert values(rule("keep", "service", regex="we")) == []
    assert values(rule("keep", "service", regex="we.")) == [1, 3]
    assert values(rule("drop", "service", regex="w|db")) == [1, 3]
    assert values(rule("drop", "service", "verb", regex="web;GET")) == [2, 3]
    assert values(rule("drop", "service", "verb", regex="web/", separator="/")) == [1, 2]


def test_a_rule_may_look_at_the_name_and_at_constant_labels() -> None:
    assert values(rule("keep", "__name__", "le", regex="calls_total;1")) == [1, 2, 3]
    assert values(rule("drop", "le", regex="1")) == []


def test_replace_sets_a_label_where_it_matches() -> None:
    found = relabelled(rule("replace", "service", regex="w(.)b", target_label="verb"))
    assert [labels.get("verb") for labels, _ in found] == ["e", "SELECT", "e"]


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [("$1-${2}", "w-b"), ("$$1", "$1"), ("$9", None), ("$1x", None), ("${x}", "w"), ("k", "k")],
)
def test_references_are_replaced(replacement: str, expected: str | None) -> None:
    regex = "(?P<x>.)e(.)"
    made = rule("replace", "service", regex=regex, target_label="to", replacement=replacement)
    labels, _ = relabelled(made)[0]
    assert labels.get("to") == expected


def test_a_target_may_depend_on_the_value() -> None:
    found = relabelled(rule("replace", "service", regex="(.+)", target_label="is_$1"))
    assert found[0][0]["is_web"] == "web"
    assert "is_web" not in found[1][0]


def test_a_target_that_is_no_label_name_changes_nothing() -> None:
    made = rule("replace", "service", regex="(.+)", target_label="1$1")
    assert relabelled(made) == relabelled()


def test_a_label_set_to_nothing_is_gone() -> None:
    assert services(rule("replace", target_label="service", replacement="")) == [None] * 3


def test_names_may_change_and_differ() -> None:
    found = relabelled(rule("replace", "service", regex="(.*)", target_label="__name__"))
    assert sorted((labels["__name__"], value) for labels, value in found) == [
        ("db", 2),
        ("web", 1),
        ("web", 3),
    ]


def test_labels_are_dropped_kept_and_mapped_by_name() -> None:
    assert relabelled(rule("labeldrop", regex="v.*|le"))[1] == (
        {"__name__": "calls_total", "service": "db"},
        2,
    )
    assert relabelled(rule("labelkeep", regex="__name__|le"))[0][0] == {
        "__name__": "calls_total",
        "le": "1",
    }
    assert relabelled(rule("labelmap", regex="ser(.*)", replacement="x_$1"))[1][0]["x_vice"] == "db"


def test_upper_and_lower_case() -> None:
    assert services(rule("uppercase", "service", target_label="service")) == ["WEB", "DB", "WEB"]
    found = relabelled(rule("lowercase", "verb", target_label="verb"))
    assert [labels.get("verb") for labels, _ in found] == ["get", "select", None]


def test_hashmod_is_that_of_prometheus() -> None:
    found = relabelled(rule("hashmod", "service", target_label="shard", modulus=1000))
    number = int.from_bytes(hashlib.md5(b"web", usedforsecurity=False).digest()[8:]) % 1000
    assert found[0][0]["shard"] == str(number)
    assert found[0][0]["shard"] == found[2][0]["shard"] != found[1][0]["shard"]


def test_series_are_compared_with_another_label() -> None:
    given = block([["a", "a"], ["a", "b"]], [1, 2], label_names=("x", "y"))
    keep = relabelled(rule("keepequal", "x", target_label="y"), of=given)
    drop = relabelled(rule("dropequal", "x", target_label="y"), of=given)
    assert [value for _, value in keep] == [1]
    assert [value for _, value in drop] == [2]


def test_rules_see_what_earlier_rules_did() -> None:
    first = rule("replace", "service", regex="(.*)", target_label="a", replacement="x$1")
    assert values(first, rule("keep", "a", regex="xdb")) == [2]


def test_what_is_left_out_is_told() -> None:
    told: list[int] = []
    rules = [rule("drop", "service", regex="web")]
    list(Relabeller(rules).apply([block(ROWS, label_names=("service", "verb"))], told.append))
    assert told == [2]


def test_a_text_that_is_not_unicode_is_no_reason_to_fail() -> None:
    given = block([["\ud800"], ["web"]], [1, 2])
    found = relabelled(rule("drop", "service", regex=".*x"), of=given)
    assert [value for _, value in found] == [1, 2]
