"""Writes ``docs/configuration.md`` out of the models: ``python -m consumer.config.reference``."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Literal, get_args, get_origin

from pydantic import SecretStr

from consumer.config import shape
from consumer.config.model import Config
from consumer.config.tempo import NO_EFFECT, NOT_YET, VALUES_NOT_YET
from processors.settings import format_duration

_INTRODUCTION = """\
# Configuration

Made by `python -m consumer.config.reference`; a test keeps it current.

A file in YAML. The blocks `metrics_generator` and `overrides` are those of Grafana Tempo, with its
keys and defaults; a block of Tempo can be pasted. Every unknown key, wrong type and impossible
value is refused at start, all at once, each with its path. `spanmill check-config --config FILE`
tells them without starting anything (exit code 2), and `--print` shows what is in force.

**Variables.** `${VAR}` and `${VAR:default}` (or `${VAR:-default}`) are replaced in every value; the
default counts when the variable is not set or empty. A value that is nothing but a variable, in
quotes or not, is read as if its text stood in the file, so `port: ${PORT}` is a number; where text
is expected it stays text. `$${` stands for `${`.

**Overriding.** The environment wins over the file: `SPANMILL_KAFKA__TOPIC=spans` sets `kafka.topic`
(two underscores for each dot; entries of lists by number,
`SPANMILL_METRICS_GENERATOR__STORAGE__REMOTE_WRITE__0__URL`; below `kafka.client` one underscore
stands for a dot, `SPANMILL_KAFKA__CLIENT__SASL_PASSWORD`). Flags win over both:
`--set kafka.topic=spans --set metrics_generator.storage.remote_write.0.url=http://…`.

**Ignored.** Keys at the top that begin with `x-` (a place for YAML anchors) and `golden`.

**Durations** are written as `15s`, `1m30s`, `500ms`, `12h`. **Secrets** are never shown.

In lists, `[]` stands for each entry.
"""

_TENANTS = """\
## Settings per tenant

`overrides.per_tenant_override_config` names a file of its own:

```yaml
overrides:
  "*":                          # any tenant
    metrics_generator:
      max_active_series: 50000
  acme:                         # the tenant `acme`, above what is said of any
    metrics_generator:
      processors: [span-metrics, service-graphs, host-info]
      collection_interval: 30s
      processor:
        span_metrics:
          dimensions: [http.route]
```

An entry takes what `overrides.defaults` takes. What counts for a tenant is put together key by
key: the static settings in `metrics_generator`, over them `overrides.defaults`, then `*`, then the
tenant's own entry. (Tempo replaces all defaults by an entry.) A key without a value is not given;
an empty list is, and clears the list below it.

A worker looks at the file every `overrides.per_tenant_override_period`, and at once on SIGHUP. A
changed file counts from then on: series and half edges that the change does not touch go on. A
file that is wrong or gone changes nothing: the last good one goes on, each problem is logged with
its path, and `spanmill_overrides_reloads_total{outcome="failed"}` counts. At start it is refused
like the configuration; `spanmill check-config` looks at it too.

**Endpoints.** A tenant writes to the endpoints of `metrics_generator.storage.remote_write`, with
its `remote_write_headers` if it has any; or, with a list `remote_write` of its own (each entry as
there), to those of the list alone. In metrics and logs such an endpoint is called `tenant/name`.

```yaml
overrides:
  acme:
    metrics_generator:
      remote_write_headers: {Authorization: "Bearer ${ACME_TOKEN}"}
  beta:
    metrics_generator:
      remote_write:
        - url: https://beta.example/api/v1/push
          basic_auth: {username: beta, password_file: /etc/spanmill/beta}
```

With `disable_collection` a tenant's series are kept and not written; offsets are committed all the
same. With intervals that differ from tenant to tenant, offsets are committed when every tenant was
written since: after the longest interval among the tenants that had spans.

**Span names** (`span_name_sanitization: enabled`): a name is cut into tokens: words and numbers,
UUIDs, white space, `%XX`, single other characters. A token becomes `<_>` if it holds a digit and
is either hexadecimal or more than a quarter digits (and more than one), so `GET /users/42` becomes
`GET /users/<_>`. Names of one token or of more than 79 stay. The rule looks at nothing but the
name: every worker writes the same series, before and after a restart. (Tempo learns patterns as
they come, so its names depend on what a process has seen.) Filters see the name as it came.
"""

PER_TENANT = (
    "overrides.defaults.metrics_generator.processor",
    "overrides.defaults.metrics_generator.remote_write[]",
)
"""What is below is the same as in ``metrics_generator``."""

_MEANINGS: Mapping[str, str] = {
    "service_graphs.wait": "How long half an edge waits for the other half.",
    "service_graphs.max_items": "Most half edges that wait, and most filtered spans in mind.",
    "service_graphs.workers": "Tempo's expiry goroutines.",
    "service_graphs.histogram_buckets": "Upper bounds in seconds; sorted.",
    "service_graphs.dimensions": "Attributes that become labels.",
    "service_graphs.enable_client_server_prefix": (
        "Label dimensions of both sides, as `client_…` and `server_…`."
    ),
    "service_graphs.enable_messaging_system_latency_histogram": (
        "Time between the producer's end and the consumer's start."
    ),
    "service_graphs.enable_virtual_node_label": "Say in a label which side is a virtual node.",
    "service_graphs.peer_attributes": "Names of an unknown server; the first that is there.",
    "service_graphs.database_name_attributes": (
        "Names of a database; a client span with one of them is a database request."
    ),
    "service_graphs.filter_policies": (
        "Which spans count; all without any policy. What only a span that is left out could "
        "answer makes no virtual node."
    ),
    "service_graphs.filter_policies[].include": "Spans must match all blocks of this kind.",
    "service_graphs.filter_policies[].include_any": "Spans that match one block are taken.",
    "service_graphs.filter_policies[].exclude": "Spans that match are left out.",
    "service_graphs.span_multiplier_key": (
        "The attribute that holds the sampling ratio; an edge counts 1/ratio times, by the "
        "span that came last."
    ),
    "service_graphs.enable_tracestate_span_multiplier": (
        "Take the weight of a span from `ot=th:…` in its trace state, if there."
    ),
    "service_graphs.database_name_order": (
        "Attributes that name the node of a database, the first that is there; "
        "`network.peer.address` is written with its port, `database` stands for the one of "
        "`database_name_attributes` (not in Tempo)."
    ),
    "service_graphs.unknown_client_name": (
        "The name of the caller of a root span (not in Tempo, where it is `user`)."
    ),
    "service_graphs.enable_unpaired_spans_metric": (
        "Count spans that made no edge in `traces_service_graph_unpaired_spans_total`, by "
        "service and reason (not in Tempo)."
    ),
    "service_graphs.enable_span_links": (
        "A consumer's link to a producer makes an edge, in the same trace or another. The "
        "spans of both must be in partitions of the same worker (not in Tempo)."
    ),
    "span_metrics.histogram_buckets": "Upper bounds in seconds; sorted.",
    "span_metrics.intrinsic_dimensions": "Which of the built-in labels are on.",
    "span_metrics.intrinsic_dimensions.service": "The service's name.",
    "span_metrics.intrinsic_dimensions.span_name": "The span's name.",
    "span_metrics.intrinsic_dimensions.span_kind": "The span's kind.",
    "span_metrics.intrinsic_dimensions.status_code": "The status code.",
    "span_metrics.intrinsic_dimensions.status_message": "The status message.",
    "span_metrics.dimensions": "Attributes that become labels.",
    "span_metrics.dimension_mappings": "Labels joined from several attributes.",
    "span_metrics.dimension_mappings[].name": "The label.",
    "span_metrics.dimension_mappings[].source_labels": "The attributes, in order.",
    "span_metrics.dimension_mappings[].join": "What stands between their values.",
    "span_metrics.dimension_mappings[].first_non_empty": (
        "Take the first value that is not empty instead of joining all (not in Tempo)."
    ),
    "span_metrics.span_multiplier_key": (
        "The attribute that holds the sampling ratio; a span counts 1/ratio times."
    ),
    "span_metrics.enable_tracestate_span_multiplier": (
        "Take the weight of a span from `ot=th:…` in its trace state, if there."
    ),
    "span_metrics.filter_policies": "Which spans count; all without any policy.",
    "span_metrics.filter_policies[].include": "Spans must match all blocks of this kind.",
    "span_metrics.filter_policies[].include_any": "Spans that match one block are taken.",
    "span_metrics.filter_policies[].exclude": "Spans that match are left out.",
    "span_metrics.metric_names": (
        "`otel` writes `traces_span_metrics_calls_total` and `…_duration_seconds` with "
        "`service_name` instead; `both` doubles the series (not in Tempo)."
    ),
    "host_info.host_identifiers": "Resource attributes that name a host; the first that is text.",
    "host_info.metric_name": "The name of the gauge.",
    "span_metrics.enable_target_info": "Write `traces_target_info`; label `job` and `instance`.",
    "span_metrics.target_info_excluded_dimensions": "Attributes that it leaves out.",
    "span_metrics.enable_instance_label": "Label `instance`, with `enable_target_info`.",
}
"""Keys of the processors whose models do not describe them."""

_POLICY_MEANINGS: Mapping[str, str] = {
    "match_type": "Compare values as they are, or with regular expressions (RE2).",
    "attributes": "The conditions; a span must meet all of them.",
    "attributes[].key": "`kind`, `status`, `name`, `resource.<attribute>` or `span.<attribute>`.",
    "attributes[].value": "The value, or the regular expression.",
}
"""Keys of each block of a filter policy."""


def reference() -> str:
    """The whole page."""
    lines = [_INTRODUCTION]
    for name in shape.fields(Config):
        lines += [f"## `{name}`", "", "| Key | Type | Default | Meaning |", "|---|---|---|---|"]
        lines += [
            _row(key)
            for key in shape.keys(Config)
            if key.pattern.split(".")[0] == name and is_told(key)
        ]
        lines.append("")
    return "\n".join([*lines, _TENANTS, *_without_effect(), *_not_yet()])


def is_told(key: shape.Key) -> bool:
    """Whether the key has a row: not so for most blocks, whose keys have them."""
    if key.pattern.startswith(PER_TENANT):
        return key.pattern in PER_TENANT
    return key.block is None or key.pattern in NO_EFFECT or key.field.default is None


def _row(key: shape.Key) -> str:
    meaning = (key.field.description or _meaning(key.pattern)).replace("\n", " ")
    if key.pattern in NO_EFFECT:
        meaning += " No effect."
    return f"| `{key.pattern}` | {_type(key)} | {_default(key)} | {meaning} |"


def _meaning(pattern: str) -> str:
    policy = re.fullmatch(r".*\.filter_policies\[\]\.\w+\.(.*)", pattern)
    if policy:
        return _POLICY_MEANINGS[policy[1]]
    return _MEANINGS.get(pattern.partition("metrics_generator.processor.")[2], "")


def _type(key: shape.Key) -> str:
    annotation = shape.unwrap(key.field.annotation)
    origin = get_origin(annotation)
    if is_duration(key):
        return "duration"
    if key.block is not None:
        return "block"
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if shape.is_list(annotation):
        return "list"
    if shape.is_mapping(annotation):
        return "keys with values"
    words = {
        str: "text",
        SecretStr: "secret",
        bool: "true or false",
        int: "number",
        float: "number",
    }
    return words.get(annotation, "value") if isinstance(annotation, type) else "value"


def is_duration(key: shape.Key) -> bool:
    """Whether the key takes a time such as ``15s``."""
    rules = [*key.field.metadata, *getattr(key.field.annotation, "__args__", ())]
    return any("parse_duration_ms" in repr(rule) for rule in rules)


def _default(key: shape.Key) -> str:
    field = key.field
    if field.is_required():
        return "required"
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "default_text" in extra:
        return str(extra["default_text"])
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ({}, ()):
        return ""
    if is_duration(key):
        return f"`{format_duration(value)}`"
    return f"`{json.dumps(value, default=str)}`" if value != "" else "empty"


def _without_effect() -> list[str]:
    rows = [f"| `{path}` | {why} |" for path, why in NO_EFFECT.items()]
    return [
        "## Without effect",
        "",
        "Keys of Tempo and Prometheus that are taken, checked and then not needed.",
        "",
        "| Key | Why |",
        "|---|---|",
        *rows,
        "",
    ]


def _not_yet() -> list[str]:
    rows = [f"| `{path}` | `{json.dumps(value)}` |" for path, value in NOT_YET.items()]
    values = [
        f"| `{path}` | all but {', '.join(f'`{value}`' for value in sorted(values))} |"
        for path, values in VALUES_NOT_YET.items()
    ]
    return [
        "## Not supported yet",
        "",
        "Keys that are known, but refused with any other value.",
        "",
        "| Key | Value that is taken |",
        "|---|---|",
        *rows,
        *values,
        "",
    ]


if __name__ == "__main__":
    sys.stdout.write(reference())
