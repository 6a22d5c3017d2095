import hashlib
import math
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from benchmarks.inputs import read_input, several
from benchmarks.workloads.files import records_of, write_records
from benchmarks.workloads.records import trace_records
from benchmarks.workloads.tenants import SPANS_PER_RECORD, tenant_records
from consumer.decode import Encoding
from consumer.errors import InputError
from processors.grouping import IS_BUILT

ROOT = Path(__file__).parents[2]
ONE_TENANT = ("single-tenant",)
KEYS = {
    *("workload", "stage", "decoder", "batch_spans", "spans_per_second", "spread"),
    *("parse_only_spans_per_second", "parse_only_warm_spans_per_second", "ratio_warm"),
    *("ratio", "bytes_per_span", "peak_rss_bytes"),
}
SHA256 = {
    "shop": "e3d032b09b6720b60481fd26c42125923c9396e8c24e798fb11a29c316f98735",
    "wide": "e964346ba01d646c3377b9179ec765e90e27ad5b0424fe20516ef61ec125805d",
}
"""Of 2,000 spans, as the owner's generator writes them."""


def run(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def shop() -> list[bytes]:
    return list(records_of("shop", 2_000))


@pytest.fixture
def file(shop: list[bytes], tmp_path: Path) -> Path:
    path = tmp_path / "shop.otlp"
    write_records(path, shop)
    return path


def assert_is_figure(line: dict[str, Any]) -> None:
    assert line.keys() >= KEYS
    for ratio in (line["ratio"], line["ratio_warm"]):
        assert math.isfinite(ratio)
        assert ratio > 0
    low, high = line["spread"]
    assert 0 < low <= line["spans_per_second"] <= high
    assert line["parse_only_spans_per_second"] > 0
    assert line["bytes_per_span"] > 100
    assert line["peak_rss_bytes"] > 10 * 2**20


@pytest.mark.parametrize("workload", ["shop", "wide"])
def test_a_workload_has_the_bytes_that_it_always_had(workload: str, tmp_path: Path) -> None:
    write_records(tmp_path / workload, records_of(workload, 2_000))
    assert hashlib.sha256((tmp_path / workload).read_bytes()).hexdigest() == SHA256[workload]


def test_tenants_take_turns_and_share_no_trace(shop: list[bytes]) -> None:
    records = [TracesData.FromString(value) for value in tenant_records(shop, 7)]
    assert records
    assert len(records) % 7 == 0
    tenants_of_trace = defaultdict(set)
    for number, record in enumerate(records):
        groups = [group for of in record.resource_spans for group in of.scope_spans]
        assert sum(len(group.spans) for group in groups) == SPANS_PER_RECORD
        for span in (span for group in groups for span in group.spans):
            tenants_of_trace[span.trace_id].add(number % 7)
    assert {len(tenants) for tenants in tenants_of_trace.values()} == {1}


def test_the_quick_mode_prints_a_figure_for_every_stage() -> None:
    ran = run("benchmarks", "--spans", "2000", "--rounds", "1")
    assert ran.returncode == 0, ran.stderr
    lines = [orjson.loads(line) for line in ran.stdout.splitlines()]
    for line in lines:
        assert_is_figure(line)
    assert {line["workload"] for line in lines} == {"shop", "wide", "tenants"}
    assert {line["stage"] for line in lines} == {
        *("parse_only", "parse_only_warm", "decode", "pipeline"),
        *(("steady",) if IS_BUILT else ()),
    }
    assert {line["batch_spans"] for line in lines} >= {16_000, 1_000}
    assert "python" in {line["decoder"] for line in lines}


def test_the_figures_make_a_table() -> None:
    ran = run("benchmarks", "--workload", "shop", "--spans", "200", "--rounds", "1")
    table = subprocess.run(
        [sys.executable, "-m", "benchmarks.table"],
        cwd=ROOT,
        input=ran.stdout,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    stages = [orjson.loads(line)["stage"] for line in ran.stdout.splitlines()]
    figures = [stage for stage in stages if stage in {"decode", "pipeline", "steady"}]
    assert len(table) == 2 + len(figures)
    assert len({row.count("|") for row in table}) == 1


def test_every_option_is_compared_with_the_default() -> None:
    ran = run("benchmarks.options", "--spans", "2000", "--rounds", "1")
    assert ran.returncode == 0, ran.stderr
    lines = [orjson.loads(line) for line in ran.stdout.splitlines()]
    assert lines[0]["option"] == "default"
    assert lines[0]["ratio_to_default"] == 1.0
    assert len({line["option"] for line in lines}) == len(lines) > 25
    assert all(line["spans_per_second"] > 0 for line in lines)


def test_a_second_core_is_compared_with_the_loop_alone() -> None:
    ran = run("benchmarks.second_core", "--workload", "shop", "--minutes", "1", "--rounds", "1")
    assert ran.returncode == 0, ran.stderr
    lines = [orjson.loads(line) for line in ran.stdout.splitlines()]
    ways = [(line["decode"], line["cores"]) for line in lines]
    assert ways == [("in_loop", 1), ("ahead", 2), ("ahead", 1)]
    assert {line["stage"] for line in lines} == {"span_side"}
    assert {line["spans"] for line in lines} == {200_000}
    assert lines[0]["ratio_to_in_loop"] == 1.0
    assert all(line["ratio_to_in_loop_by_loop_cpu"] > 0 for line in lines)


def test_any_file_can_be_measured(file: Path) -> None:
    ran = run("benchmarks.pipeline", file, "--batch-spans", "500", "--rounds", "3")
    assert ran.returncode == 0, ran.stderr
    figure = orjson.loads(ran.stdout)
    assert_is_figure(figure)
    assert figure["stage"] == "pipeline"
    assert figure["batch_spans"] == 500
    assert figure["decode_spans_per_second"] > 0


def test_a_configuration_counts(file: Path, tmp_path: Path) -> None:
    config = tmp_path / "spanmill.yaml"
    config.write_text("kafka: {encoding: otlp_proto}\nmetrics_generator: {no_such_key: 1}\n")
    ran = run("benchmarks.pipeline", file, "--config", config)
    assert ran.returncode == 2
    assert "no_such_key" in ran.stderr


def test_json_lines_are_compared_with_the_same_spans_in_protobuf(tmp_path: Path) -> None:
    span = {"name": "GET /", "traceId": "01" * 16, "spanId": "02" * 8, "kind": 2}
    traces = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    path = tmp_path / "spans.json"
    path.write_bytes(orjson.dumps(traces) + b"\n")
    ran = run("benchmarks.pipeline", path, "--rounds", "1")
    assert ran.returncode == 0, ran.stderr
    assert math.isfinite(orjson.loads(ran.stdout)["ratio"])


def test_the_profile_names_functions(file: Path) -> None:
    ran = run("benchmarks.pipeline", file, "--rounds", "1", "--profile")
    assert "function calls" in ran.stderr
    assert len(ran.stdout.splitlines()) == 1


def test_batches_end_with_the_record_that_fills_them(file: Path) -> None:
    records = read_input(file, Encoding.OTLP_PROTO, ONE_TENANT)
    batches = records.batches(500)
    assert [value for batch in batches for value in batch.values] == records.values
    sizes: list[int] = []
    for batch in batches:
        start = sum(sizes)
        sizes.append(len(batch))
        spans = records.spans[start : start + len(batch)]
        assert spans[:-1].sum() < 500
    assert len(sizes) > 2


def test_a_record_is_as_old_as_the_last_end_of_its_spans(file: Path, shop: list[bytes]) -> None:
    records = read_input(file, Encoding.OTLP_PROTO, ONE_TENANT)
    groups = TracesData.FromString(shop[0]).resource_spans
    ends = [s.end_time_unix_nano for r in groups for g in r.scope_spans for s in g.spans]
    assert records.time_ms[0] == max(ends) // 1_000_000
    assert records.time_ms.dtype == np.int64


def test_broken_records_are_left_out_and_said_so(
    shop: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.otlp"
    write_records(path, [b"\xff", *shop])
    records = read_input(path, Encoding.OTLP_PROTO, ONE_TENANT)
    assert records.values == shop
    assert "left out 1 of" in capsys.readouterr().err


def test_a_file_without_spans_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.otlp"
    write_records(path, [TracesData().SerializeToString()])
    with pytest.raises(InputError):
        read_input(path, Encoding.OTLP_PROTO, ONE_TENANT)


def test_each_trace_can_be_a_record_of_its_own(shop: list[bytes]) -> None:
    of_trace: dict[bytes, int] = defaultdict(int)
    for trace in (trace_ids(value) for value in trace_records(shop)):
        assert len(set(trace)) == 1
        assert trace[0] not in of_trace
        of_trace[trace[0]] = len(trace)
    assert sum(of_trace.values()) == sum(len(trace_ids(value)) for value in shop)


def test_a_second_minute_has_other_traces_and_comes_later(file: Path) -> None:
    once = read_input(file, Encoding.OTLP_PROTO, ONE_TENANT)
    twice = several(once, 2)
    first, second = twice.values[: len(once.values)], twice.values[len(once.values) :]
    assert not {i for v in first for i in trace_ids(v)} & {i for v in second for i in trace_ids(v)}
    assert (twice.time_ms[len(once.values) :] > once.time_ms.max()).all()
    assert twice.spans.sum() == 2 * once.spans.sum()


def test_the_cost_of_series_is_measured() -> None:
    ran = run("benchmarks.memory", "--series", "20000", "--rounds", "1", "--stage", "hold")
    assert ran.returncode == 0, ran.stderr
    (line,) = map(orjson.loads, ran.stdout.splitlines())
    assert 19_000 < line["series"] <= 20_000
    assert line["bytes_per_series"] > 0
    assert 0 < line["collect_microseconds_per_sample"] < line["microseconds_per_sample"]
    assert line["longest_pause_seconds"] > 0


def trace_ids(value: bytes) -> list[bytes]:
    groups = [
        group for of in TracesData.FromString(value).resource_spans for group in of.scope_spans
    ]
    return [span.trace_id for group in groups for span in group.spans]
