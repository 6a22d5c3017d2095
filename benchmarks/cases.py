"""What `make bench` measures on each workload."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.inputs import Records, read_input
from benchmarks.measure import Case, Implementation, measure
from benchmarks.workloads.files import workload_file
from benchmarks.workloads.tenants import SPANS_PER_RECORD, tenants_of
from consumer.config.load import parse_config
from consumer.decode import Encoding, open_decoder
from consumer.errors import SpanmillError
from processors.batch import Projection

BATCHES = (16_000, 1_000)
"""Spans: a busy worker's poll, and a quiet one's."""

PYTHON_SPANS = 32_000
"""Enough for the Python decoder, which would take most of the time otherwise."""

_DIMENSIONS = """
metrics_generator:
  processor:
    span_metrics:
      dimensions: [http.method, http.status_code, k8s.cluster.name, service.version]
      enable_target_info: true
    service_graphs:
      dimensions: [http.method, http.status_code, k8s.cluster.name, service.version]
      enable_client_server_prefix: true
"""


def cases_of(workload: str, spans: int) -> list[Case]:
    """The cases of one workload; those of the native decoder only where it is built."""
    tenants: tuple[str, ...] = ("single-tenant",)
    if workload == "tenants":
        tenants = tuple(f"tenant-{number:04d}" for number in range(tenants_of(spans)))
    records = read_input(workload_file(workload, spans), Encoding.OTLP_PROTO, tenants)
    return list(_cases(workload, records))


def measured_case(workload: str, spans: int, number: int, rounds: int) -> list[dict[str, Any]]:
    """The lines of one of the cases of ``workload``."""
    return measure(cases_of(workload, spans)[number], rounds)


def _cases(workload: str, records: Records) -> Iterator[Case]:
    is_shared = len(records.tenants) > 1
    sizes = (len(records.tenants) * SPANS_PER_RECORD,) if is_shared else BATCHES
    default = parse_config("", environ={})
    implementations: list[Implementation] = ["native", "python"] if _is_built() else ["python"]
    few = records.first(PYTHON_SPANS)
    for implementation in implementations:
        some = few if implementation == "python" else records
        for size in sizes:
            has_steady = implementation == "native"
            yield Case(workload, "default", some, default, implementation, size, has_steady)
    if workload == "shop":
        dimensions = parse_config(_DIMENSIONS, environ={})
        yield Case(
            workload,
            "dimensions",
            records,
            dimensions,
            implementations[0],
            sizes[0],
            has_steady=True,
        )


def _is_built() -> bool:
    try:
        open_decoder(Encoding.OTLP_PROTO, Projection(), implementation="native")
    except SpanmillError as error:
        sys.stderr.write(f"{error}\n")
        return False
    return True
