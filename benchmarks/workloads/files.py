"""Workloads as files, made once and kept under `.cache/`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.workloads.records import shop_records, trace_records
from benchmarks.workloads.tenants import tenant_records, tenants_of
from consumer.files.otlp_files import read_records

WORKLOADS = ("shop", "wide", "tenants")
TRACES = "traces"
"""The spans of shop, a record for each trace."""

SPANS = 200_000
CACHE = Path(__file__).parents[2] / ".cache" / "workloads"

_FORMAT = 1
"""Part of the names in the cache; a change to what is made here raises it."""

_IDS_PER_NAME = 6
_LENGTH_BYTES = 4


def workload_file(workload: str, spans: int = SPANS) -> Path:
    """The file of ``workload``, which is made if it is not there yet."""
    path = CACHE / f"{workload}-{spans}-v{_FORMAT}.otlp"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        write_records(partial, records_of(workload, spans))
        partial.replace(path)
    return path


def records_of(workload: str, spans: int) -> Iterator[bytes]:
    """The records of ``workload``, one of :data:`WORKLOADS` or :data:`TRACES`."""
    if workload == "tenants":
        _, shop = read_records(workload_file("shop", spans))
        return tenant_records(shop, tenants_of(spans))
    if workload == TRACES:
        _, shop = read_records(workload_file("shop", spans))
        return trace_records(shop)
    return shop_records(spans, ids_per_name=_IDS_PER_NAME if workload == "wide" else 0)


def write_records(path: Path, records: Iterable[bytes]) -> None:
    """Write ``records``, each after its length, as the Collector's file exporter does."""
    with path.open("wb") as file:
        for record in records:
            file.write(len(record).to_bytes(_LENGTH_BYTES, "big") + record)
