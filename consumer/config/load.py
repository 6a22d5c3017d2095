"""From a file, the environment and flags to a :class:`Config`, or to all that is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from consumer.config import layers, shape
from consumer.config.model import Config
from consumer.config.problems import problems_of
from consumer.config.tempo import notices_of, take_not_yet
from consumer.config.tree import read_tree
from consumer.errors import ConfigError, InputError, Problem

_CODECS = {"push-bytes": "tempo", "otlp": "otlp_proto"}


def load_config(
    path: Path | None, *, overrides: Sequence[str] = (), environ: Mapping[str, str]
) -> Config:
    """Read ``path``; variables of ``environ`` win over it, ``overrides`` over both.

    Without a path everything has its default. An override is text such as
    ``kafka.topic=spans``. Raises :class:`InputError` when the file cannot be read and
    :class:`ConfigError` with every problem that was found.
    """
    if path is None:
        return parse_config("", overrides=overrides, environ=environ)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InputError(f"{path}: cannot read the configuration: {reason}") from error
    return parse_config(text, source=str(path), overrides=overrides, environ=environ)


def parse_config(
    text: str,
    *,
    source: str = "(configuration)",
    overrides: Sequence[str] = (),
    environ: Mapping[str, str],
) -> Config:
    """Like :func:`load_config`, for YAML that is at hand; ``source`` names it in problems."""
    problems: list[Problem] = []
    sources: dict[shape.Path, str] = {}
    try:
        tree = read_tree(text, source=source, environ=environ, problems=problems)
        for assignment in (
            *layers.from_environment(environ),
            *layers.from_flags(overrides, problems),
        ):
            layers.apply(tree, assignment)
            sources[assignment.path] = assignment.source
    except RecursionError as error:
        raise ConfigError([Problem(source, "the values are nested too deeply")]) from error
    problems += take_not_yet(tree)
    notices = notices_of(tree)
    _take_tempo_names(tree)
    _drop_empty(tree, Config)
    try:
        config = Config.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        problems += problems_of(error, sources)
    if problems:
        raise ConfigError(_one_each(problems))
    config._notices = tuple(notices)  # noqa: SLF001  set once, here, where the model is made
    return config


def require_remote_write(config: Config) -> None:
    """Raise :class:`ConfigError` when the series would go nowhere; for the worker."""
    if not config.metrics_generator.storage.remote_write:
        text = "expected at least one entry with a url; a worker has to write somewhere"
        raise ConfigError([Problem("metrics_generator.storage.remote_write", text)])


def _take_tempo_names(tree: dict[str, object]) -> None:
    """``codec`` and ``instance_id`` stand for keys of ``kafka``, unless those are given."""
    generator = tree.get("metrics_generator")
    if not isinstance(generator, dict):
        return
    kafka = tree.setdefault("kafka", {})
    if not isinstance(kafka, dict):
        return
    codec, instance = generator.get("codec"), generator.get("instance_id")
    if isinstance(codec, str) and codec in _CODECS:
        kafka.setdefault("encoding", _CODECS[codec])
    if isinstance(instance, str):
        kafka.setdefault("group_instance_id", instance)


def _drop_empty(tree: object, annotation: object) -> None:
    """A known key without a value, such as a block with all its lines commented out."""
    if isinstance(tree, dict):
        for key in list(tree):
            below = shape.child(annotation, key)
            if tree[key] is None and below is not None and shape.as_model(annotation) is not None:
                del tree[key]
            elif below is not None:
                _drop_empty(tree[key], below)
    elif isinstance(tree, list):
        for index, member in enumerate(tree):
            below = shape.child(annotation, index)
            if below is not None:
                _drop_empty(member, below)


def _one_each(problems: Sequence[Problem]) -> list[Problem]:
    """The first problem of each path, sorted by path: later ones follow from it."""
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(problem.path, problem)
    return sorted(first.values(), key=lambda problem: problem.path)
