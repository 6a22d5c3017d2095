"""Walks the models, so that a new key is covered without being mentioned here."""

import json
from typing import get_args

import pytest

from consumer.config import Config, parse_config, shape
from consumer.config.tempo import NO_EFFECT, NOT_YET, VALUES_NOT_YET
from consumer.errors import ConfigError

KEYS = list(shape.keys(Config))
BLOCKS = [key for key in KEYS if key.block is not None and not shape.is_list(key.field.annotation)]


REQUIRED = ("url", "match_type", "attributes")
"""Keys that an entry of a list has to have."""


def takes_any_number(key: shape.Key) -> bool:
    kind = shape.unwrap(key.field.annotation)
    return kind is str or float in get_args(kind)


def tree_with(pattern: str, value: object) -> str:
    """Write the configuration that has nothing but one key."""
    for part in reversed(pattern.split(".")):
        name = part.removesuffix("[]")
        value = {name: [value] if part.endswith("[]") else value}
    return json.dumps(value)


def paths_of_problems(text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, environ={})
    return {problem.path: problem.text for problem in caught.value.problems}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: str(key.pattern))
def test_a_value_of_a_wrong_type_is_refused_at_its_path(key: shape.Key) -> None:
    annotation = key.field.annotation
    takes_keys = shape.as_model(annotation) is not None or shape.is_mapping(annotation)
    found = paths_of_problems(tree_with(key.pattern, 7.5 if takes_keys else {"wrong": 1}))
    path = key.pattern.replace("[]", "[0]")
    assert any(place == path or place.startswith(path) for place in found), found


@pytest.mark.parametrize(
    "key",
    [key for key in KEYS if key.block is None and not takes_any_number(key)],
    ids=lambda key: str(key.pattern),
)
def test_a_wrong_value_is_refused_at_its_path(key: shape.Key) -> None:
    found = paths_of_problems(tree_with(key.pattern, -987654321.5))
    assert key.pattern.replace("[]", "[0]") in found


@pytest.mark.parametrize("key", KEYS, ids=lambda key: str(key.pattern))
def test_an_unknown_neighbour_is_refused_and_the_known_key_suggested(key: shape.Key) -> None:
    block, _, name = key.pattern.rpartition(".")
    neighbour = f"{block}.{name}x" if block else f"{name}x"
    text = paths_of_problems(tree_with(neighbour, 1))[neighbour.replace("[]", "[0]")]
    assert text == f"unknown key; did you mean {name}?"


@pytest.mark.parametrize("key", BLOCKS, ids=lambda key: str(key.pattern))
def test_a_block_may_be_empty(key: shape.Key) -> None:
    try:
        parse_config(tree_with(key.pattern, None), environ={})
    except ConfigError as error:
        missing = {problem.path.rpartition(".")[2] for problem in error.problems}
        assert missing <= {*REQUIRED, "filter_policies[0]"}


@pytest.mark.parametrize("pattern", NOT_YET)
def test_what_is_not_supported_yet_is_known_only_by_its_default(pattern: str) -> None:
    assert pattern not in {key.pattern for key in KEYS}, "implemented: delete its row"
    path = pattern.replace("[]", "[0]")
    assert paths_of_problems(tree_with(pattern, 123456.5))[path] == "not supported yet"
    block, _, name = pattern.rpartition(".")
    neighbour = f"{block}.{name}x".replace("[]", "[0]")
    text = paths_of_problems(tree_with(f"{block}.{name}x", 1))[neighbour]
    assert text == f"unknown key; did you mean {name}?"
    for value in (NOT_YET[pattern], None):
        try:
            parse_config(tree_with(pattern, value), environ={})
        except ConfigError as error:
            assert {problem.path.rpartition(".")[2] for problem in error.problems} == {"url"}  # noqa: PT017


@pytest.mark.parametrize("pattern", [*NO_EFFECT, *VALUES_NOT_YET])
def test_keys_without_effect_or_with_values_to_come_are_keys_of_the_models(pattern: str) -> None:
    assert pattern in {key.pattern for key in KEYS}
