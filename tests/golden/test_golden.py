"""Spans in, series out: what real Tempo made of the same bytes.

A case is ``config.yaml`` (its block ``golden:`` is for this test), ``input.otlp`` and
``expected.jsonl``, or ``expected_error.txt`` where the configuration is wrong. A case that
differs from Tempo names the difference (D1 to D18 of the design) in its ``config.yaml``.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from consumer.config.load import load_config
from consumer.config.model import Config
from consumer.config.tenants import settings_by_tenant
from consumer.decode import Encoding, RawRecords, open_decoder
from consumer.errors import ConfigError
from consumer.files.otlp_files import read_records
from consumer.files.preview import run_preview, series_lines
from consumer.files.rehearsal import registry_of
from consumer.pipeline import Pipeline
from tests.support.decoding import IMPLEMENTATIONS, Implementation, require

FOLDERS = sorted(path.parent for path in Path(__file__).parent.glob("*/config.yaml"))
REFUSED = [folder for folder in FOLDERS if (folder / "expected_error.txt").exists()]
CASES = [folder for folder in FOLDERS if folder not in REFUSED]
CODECS = {"otlp": Encoding.OTLP_PROTO, "push-bytes": Encoding.TEMPO}
SUM_TOLERANCE = 1e-9
"""Relative: sums depend on the order of addition."""

Told = Mapping[str, Any]
"""``value`` or ``histogram``, and ``exemplar`` where there is one."""
Series = Mapping[tuple[str, tuple[tuple[str, str], ...]], Told]


def name_of(case: Path) -> str:
    return case.name


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_spans_give_the_series_that_tempo_gives(case: Path, implementation: Implementation) -> None:
    require(implementation)
    config = load_config(case / "config.yaml", environ={})
    golden = yaml.safe_load((case / "config.yaml").read_text())["golden"]
    _, values = read_records(case / "input.otlp")
    lines = run_case(config, golden, values, implementation)
    assert_same(series(lines), expected(case))


@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_what_tempo_refuses_is_refused_for_the_same_reason(case: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(case / "config.yaml", environ={})
    reason = (case / "expected_error.txt").read_text()
    for quoted in re.findall(r'"(.*?)"', reason):
        assert f"'{quoted}'" in str(caught.value), reason


@pytest.mark.parametrize(
    "case", ["sg_client_server_pair", "sg_messaging_default", "sm_kinds_and_status"]
)
def test_the_preview_prints_the_series_of_a_case(case: str) -> None:
    folder = Path(__file__).parent / case
    output = io.StringIO()
    config = load_config(folder / "config.yaml", environ={})
    run_preview(config, [folder / "input.otlp"], output=output)
    printed = output.getvalue().splitlines()
    assert_same(series(printed), expected(folder))
    assert printed == (folder / "expected.jsonl").read_text().splitlines()


def run_case(
    config: Config,
    golden: Mapping[str, Any],
    values: Sequence[bytes],
    implementation: Implementation,
) -> list[bytes]:
    codec = CODECS[golden.get("codec", "otlp")]
    open_with = partial(open_decoder, codec, implementation=implementation)
    base_ms = golden.get("base_unix_nano", 0) // 1_000_000
    tenants = settings_by_tenant(config)
    pipeline = Pipeline(open_with, tenants, has_slack=bool(base_ms))
    registry = registry_of(config, tenants)
    for index, value in enumerate(values):
        registry.fold(pipeline.push(one_record(value, base_ms)).frames, 0)
        if index in golden.get("expire_after_records", ()):
            registry.fold(pipeline.close(0).frames, 0)
    if golden["expire"] == "end":
        registry.fold(pipeline.close(0).frames, 0)
    return series_lines(registry, has_exemplars=golden.get("exemplars", False))


def one_record(value: bytes, time_ms: int) -> RawRecords:
    return RawRecords(
        values=[value],
        tenants=("single-tenant",),
        tenant=np.zeros(1, np.uint32),
        time_ms=np.array([time_ms], np.int64),
        lane=np.zeros(1, np.uint32),
    )


def expected(case: Path) -> Series:
    return series((case / "expected.jsonl").read_text().splitlines())


def series(lines: Sequence[str | bytes]) -> Series:
    found = [json.loads(line) for line in lines]
    keys = [(line.pop("name"), tuple(sorted(line.pop("labels").items()))) for line in found]
    assert len(set(keys)) == len(keys), "a series is listed twice"
    return dict(zip(keys, found, strict=True))


def assert_same(ours: Series, theirs: Series) -> None:
    assert sorted(ours) == sorted(theirs)
    assert list(differences(ours, theirs)) == []


def differences(ours: Series, theirs: Series) -> Iterator[tuple[Any, Told, Told]]:
    for key, told in theirs.items():
        is_sum = key[0].endswith("_sum")
        mine = without_sum(ours[key], is_sum=is_sum)
        other = without_sum(told, is_sum=is_sum)
        is_close = all(
            math.isclose(one, two, rel_tol=SUM_TOLERANCE)
            for one, two in zip(mine[1], other[1], strict=True)
        )
        if mine[0] != other[0] or not is_close:
            yield key, ours[key], told


def without_sum(told: Told, *, is_sum: bool) -> tuple[Told, list[float]]:
    """What is told but for its sum, and the sum."""
    rest = json.loads(json.dumps(told))
    if "histogram" in rest:
        return rest, [rest["histogram"].pop("sum")]
    return rest, [rest.pop("value")] if is_sum else []
