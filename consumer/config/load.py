"""From a file, the environment and flags to a :class:`Config`, or to all that is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from consumer.config import layers, shape
from consumer.config.checks import Block
from consumer.config.document import CONFIGURATION, TENANTS, Document
from consumer.config.model import Config
from consumer.config.overrides import OverridesFile
from consumer.config.problems import problems_of
from consumer.config.tempo import notices_of, take_not_yet
from consumer.config.tenants import SettingsByTenant, settings_by_tenant
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
    text = read_text(path)
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
        tree = read_tree(text, Config, source=source, environ=environ, problems=problems)
        for assignment in (
            *layers.from_environment(environ),
            *layers.from_flags(overrides, problems),
        ):
            layers.apply(tree, assignment)
            sources[assignment.path] = assignment.source
    except RecursionError as error:
        raise ConfigError([Problem(source, "the values are nested too deeply")]) from error
    _take_tempo_names(tree)
    notices = notices_of(tree, CONFIGURATION.no_effect)
    config = cast("Config", _validate(tree, CONFIGURATION, sources, problems))
    config._notices = tuple(notices)  # noqa: SLF001  set once, here, where the model is made
    settings_by_tenant(config)
    return config


def load_tenants(config: Config, *, environ: Mapping[str, str]) -> SettingsByTenant:
    """The settings of all tenants, with the file of overrides that ``config`` names, if any.

    Raises as :func:`load_config` does, for that file.
    """
    path = config.overrides.per_tenant_override_config
    if not path:
        return settings_by_tenant(config)
    return parse_tenants(config, read_text(Path(path)), environ=environ)


def parse_tenants(config: Config, text: str, *, environ: Mapping[str, str]) -> SettingsByTenant:
    """Like :func:`load_tenants`, for the file's text that is at hand."""
    source = config.overrides.per_tenant_override_config
    problems: list[Problem] = []
    try:
        tree = read_tree(text, OverridesFile, source=source, environ=environ, problems=problems)
    except RecursionError as error:
        raise ConfigError([Problem(source, "the values are nested too deeply")]) from error
    notices = notices_of(tree, TENANTS.no_effect)
    file = cast("OverridesFile", _validate(tree, TENANTS, {}, problems))
    return replace(settings_by_tenant(config, file), notices=notices)


def read_text(path: Path) -> str:
    """The text of a file; raises :class:`InputError` when there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InputError(f"{path}: cannot read the configuration: {reason}") from error


def _validate(
    tree: dict[str, object],
    document: Document,
    sources: Mapping[shape.Path, str],
    problems: list[Problem],
) -> Block:
    """The model of ``tree``; raises all ``problems``, those that were found before included."""
    problems += take_not_yet(tree, document.not_yet, document.values_not_yet)
    _drop_empty(tree, document.root)
    try:
        model = document.root.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        problems += problems_of(error, document, sources)
    if problems:
        raise ConfigError(_one_each(problems))
    return model


def require_remote_write(config: Config) -> None:
    """Raise :class:`ConfigError` when the series would go nowhere; for the worker."""
    if not settings_by_tenant(config).default.remote_write:
        text = "expected at least one entry with a url; a worker has to write somewhere"
        raise ConfigError([Problem("metrics_generator.storage.remote_write", text)])


def _take_tempo_names(tree: dict[str, object]) -> None:
    """Some keys of Tempo stand for keys of ``kafka``, unless those are given.

    ``codec``, ``instance_id``, and ``leave_consumer_group_on_shutdown``: a dynamic member
    leaves its group at once, a static one keeps its partitions until its session ends.
    """
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
    elif generator.get("leave_consumer_group_on_shutdown") is True:
        kafka.setdefault("group_instance_id", "")


def _drop_empty(tree: object, annotation: object) -> None:
    """A known key without a value, such as a block with all its lines commented out."""
    if isinstance(tree, dict):
        for key in list(tree):
            below = shape.child(annotation, key)
            if tree[key] is None and below is not None and shape.as_model(annotation) is not None:
                del tree[key]
            elif tree[key] is None and below is not None and shape.as_model(below) is not None:
                tree[key] = {}
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
