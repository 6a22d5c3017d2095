"""Keys of Tempo and Prometheus that do nothing here, or do not yet.

Paths are patterns: ``[]`` stands for any index, ``*`` for any key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from consumer.config.model import Notice
from consumer.errors import Problem

_GENERATOR = "metrics_generator"
_SERVICE_GRAPHS = f"{_GENERATOR}.processor.service_graphs"
_SPAN_METRICS = f"{_GENERATOR}.processor.span_metrics"
DEFAULTS = "overrides.defaults."
_LIMITS = f"{DEFAULTS}metrics_generator"
_ENDPOINTS = (f"{_GENERATOR}.storage.remote_write[]", f"{_LIMITS}.remote_write[]")

_ENDPOINT_NOT_YET: Mapping[str, object] = {
    "no_proxy": "",
    "proxy_from_environment": False,
    "proxy_connect_header": {},
    "http_headers": {},
    "enable_http2": False,
    "round_robin_dns": False,
    "sigv4": {},
    "azuread": {},
    "google_iam": {},
}
_ENDPOINT_NO_EFFECT: Mapping[str, str] = {
    "send_exemplars": "overrides decide about exemplars (max_exemplars)",
    "send_native_histograms": (
        "overrides decide about native histograms (generate_native_histograms)"
    ),
    "queue_config.capacity": "max_pending_bytes bounds what waits, as a whole",
    "queue_config.batch_send_deadline": "a tick is sent at once",
    "metadata_config.max_samples_per_send": "queue_config.max_samples_per_send counts here too",
}


def _of_endpoints(keys: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of keys of an endpoint, said of those for all and of a tenant's own."""
    return {f"{entry}.{key}": value for entry in _ENDPOINTS for key, value in keys.items()}


NOT_YET: Mapping[str, object] = {
    **_of_endpoints(_ENDPOINT_NOT_YET),
}
"""Keys without an implementation, each with its default, the one value that is taken."""

VALUES_NOT_YET: Mapping[str, frozenset[str]] = {}
"""Keys that work, with those of their values that have no implementation."""

_RING = "Kafka's consumer group shares out the partitions; there is no ring"
_NO_WAL = "spanmill keeps no write-ahead log; Kafka holds what is not delivered yet"
_NO_WORKERS = "half edges expire within the batch; there are no workers"
_OTHER_PART = "this belongs to another part of Tempo"

NO_EFFECT: Mapping[str, str] = {
    f"{_SERVICE_GRAPHS}.workers": _NO_WORKERS,
    f"{_GENERATOR}.ring": _RING,
    f"{_GENERATOR}.ring_mode": _RING,
    f"{_GENERATOR}.override_ring_key": _RING,
    f"{_GENERATOR}.ingest_concurrency": "a worker is one loop; run more workers instead",
    f"{_GENERATOR}.skip_stale_backlog_on_startup": (
        "the slack is measured against the record's timestamp, so a backlog is not stale"
    ),
    f"{_GENERATOR}.storage.path": _NO_WAL,
    f"{_GENERATOR}.storage.wal": _NO_WAL,
    **_of_endpoints(_ENDPOINT_NO_EFFECT),
    f"{_LIMITS}.processor.service_graphs.workers": _NO_WORKERS,
    f"{_LIMITS}.ring_size": _RING,
    f"{_LIMITS}.forwarder": _OTHER_PART,
    "overrides.defaults.ingestion": _OTHER_PART,
    "overrides.defaults.read": _OTHER_PART,
    "overrides.defaults.compaction": _OTHER_PART,
    "overrides.defaults.global": _OTHER_PART,
    "overrides.defaults.storage": _OTHER_PART,
    "overrides.defaults.forwarders": _OTHER_PART,
    "overrides.defaults.cost_attribution": _OTHER_PART,
    "overrides.user_configurable_overrides": _OTHER_PART,
    "overrides.enable_legacy_overrides": "the older flat keys are not known here",
}
"""Keys that are taken, checked and without any effect, each with the reason."""


def take_not_yet(
    tree: dict[str, object],
    not_yet: Mapping[str, object],
    values_not_yet: Mapping[str, frozenset[str]],
) -> list[Problem]:
    """Take the keys of ``not_yet`` out of ``tree``; those with another value are problems."""
    problems = []
    for pattern, default in not_yet.items():
        for path, block, key in find(tree, pattern):
            if not _is_default(block.pop(key), default):
                problems.append(Problem(path, "not supported yet"))
    for pattern, values in values_not_yet.items():
        for path, block, key in find(tree, pattern):
            given = block[key] if isinstance(block[key], list | dict) else [block[key]]
            problems += [
                Problem(path, f"{value} is not supported yet")
                for value in _texts(given)
                if value in values
            ]
    return problems


def notices_of(tree: dict[str, object], no_effect: Mapping[str, str]) -> list[Notice]:
    """The keys in ``tree`` that have ``no_effect``."""
    return [
        Notice(path, f"no effect: {reason}")
        for pattern, reason in no_effect.items()
        for path, _, _ in find(tree, pattern)
    ]


def find(tree: object, pattern: str) -> Iterator[tuple[str, dict[str, object], str]]:
    """Each place of ``pattern`` in ``tree``: its path, the block it is in, its key there."""
    yield from _find(tree, pattern.split("."), "")


def _find(
    tree: object, parts: list[str], prefix: str
) -> Iterator[tuple[str, dict[str, object], str]]:
    part, below = parts[0], parts[1:]
    name = part.removesuffix("[]")
    if not isinstance(tree, dict):
        return
    for key in list(tree) if name == "*" else [name]:
        if key not in tree:
            continue
        path = f"{prefix}.{key}" if prefix else key
        if not below:
            yield path, tree, key
        elif part == name:
            yield from _find(tree[key], below, path)
        elif isinstance(tree[key], list):
            for index, member in enumerate(tree[key]):
                yield from _find(member, below, f"{path}[{index}]")


def _is_default(value: object, default: object) -> bool:
    if value is None:
        return True
    if isinstance(value, dict) and isinstance(default, dict):
        return all(key in default and _is_default(value[key], default[key]) for key in value)
    return value == default and isinstance(value, bool) == isinstance(default, bool)


def _texts(values: object) -> list[str]:
    return [value for value in values if isinstance(value, str)] if values else []  # type: ignore[attr-defined]
