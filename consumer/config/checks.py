"""Rules about values that a type alone cannot say."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict

from processors.service_graphs import ServiceGraphsConfig
from processors.settings import Finding, Settings, parse_duration_ms, refuse
from processors.span_metrics import SpanMetricsConfig

_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_IN_LABEL = re.compile(r"[^A-Za-z0-9_]")
_LABELS_OF_SPAN_METRICS = ("service", "span_name", "span_kind", "status_code", "status_message")


class Block(Settings):
    """A block of the configuration; the docstring of a field describes it in the reference."""

    model_config = ConfigDict(use_attribute_docstrings=True)


def within(least: str, most: str) -> Callable[[int], int]:
    """A check of milliseconds: ``least`` <= duration <= ``most``."""
    least_ms, most_ms = parse_duration_ms(least), parse_duration_ms(most)

    def check(milliseconds: int) -> int:
        if not least_ms <= milliseconds <= most_ms:
            raise ValueError(f"expected a duration from {least} to {most}")
        return milliseconds

    return check


def duration(least: str, most: str) -> AfterValidator:
    """A rule for :data:`DurationMs`: ``least`` <= duration <= ``most``."""
    return AfterValidator(within(least, most))


def check_label_name(name: str) -> str:
    """A label name that every receiver takes."""
    if not _LABEL_NAME.fullmatch(name):
        raise ValueError("expected a label name: letters, digits and _, no digit in front")
    if name in ("__name__", "le"):
        raise ValueError(f"expected another label name; {name} has a meaning of its own")
    return name


LabelName = Annotated[str, AfterValidator(check_label_name)]


def check_url(url: str) -> str:
    """An address to write to; credentials have keys of their own, where they stay hidden."""
    if "@" in url:
        raise ValueError("an address holds no user or password here; use basic_auth")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        shown = url.partition("?")[0]
        expected = "an address such as http://prometheus:9090/api/v1/write"
        raise ValueError(f"found {shown!r}, expected {expected}")
    return url


def bucket_findings(buckets: Sequence[float]) -> list[Finding]:
    """What is wrong with bucket bounds (tempo-behaviour.md 5.4)."""
    return [
        (("histogram_buckets", index), f"found {bound}, expected a finite number")
        for index, bound in enumerate(buckets)
        if not math.isfinite(bound)
    ]


def _empty_names(key: str, names: Sequence[str]) -> list[Finding]:
    return [
        ((key, index), "found '', expected the name of an attribute")
        for index, name in enumerate(names)
        if not name
    ]


def check_service_graphs(config: ServiceGraphsConfig) -> ServiceGraphsConfig:
    """Refuse values that cannot work; sort the buckets."""
    findings = bucket_findings(config.histogram_buckets)
    lists = ("dimensions", "peer_attributes", "database_name_attributes", "database_name_order")
    for key in lists:
        findings += _empty_names(key, getattr(config, key))
    if config.wait <= 0:
        findings.append((("wait",), "found 0s, expected a duration above 0s"))
    for key in ("max_items", "workers"):
        if getattr(config, key) < 0:
            text = f"found {getattr(config, key)}, expected a number of at least 0"
            findings.append(((key,), text))
    refuse(findings)
    return config.model_copy(update={"histogram_buckets": _sorted(config.histogram_buckets)})


def check_span_metrics(config: SpanMetricsConfig) -> SpanMetricsConfig:
    """Refuse values that cannot work; sort the buckets."""
    findings = bucket_findings(config.histogram_buckets)
    findings += _empty_names("dimensions", config.dimensions)
    findings += _mapping_findings(config)
    refuse(findings)
    return config.model_copy(update={"histogram_buckets": _sorted(config.histogram_buckets)})


def _sorted(buckets: Sequence[float]) -> tuple[float, ...]:
    return tuple(sorted(set(buckets)))


def _label_of(name: str) -> str:
    label = _NOT_IN_LABEL.sub("_", name)
    return f"__{label}" if label in _LABELS_OF_SPAN_METRICS else label


def _mapping_findings(config: SpanMetricsConfig) -> list[Finding]:
    findings: list[Finding] = []
    taken = {_label_of(name): f"the dimension {name!r}" for name in config.dimensions}
    for index, mapping in enumerate(config.dimension_mappings):
        where = ("dimension_mappings", index)
        if not mapping.name:
            findings.append(((*where, "name"), "found '', expected the name of a label"))
        if not mapping.source_labels:
            text = "found an empty list, expected the names of attributes"
            findings.append(((*where, "source_labels"), text))
        label = _label_of(mapping.name)
        if label in taken:
            text = f"found {mapping.name!r}, which gives the same label as {taken[label]}: {label}"
            findings.append(((*where, "name"), text))
        taken.setdefault(label, f"the mapping {mapping.name!r}")
    return findings
