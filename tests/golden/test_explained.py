"""What explain says of the spans of each golden case is what the series of the case say."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml

from consumer.config.load import load_config
from consumer.config.tenants import settings_by_tenant
from consumer.explain import explain
from consumer.explain.report import Report
from consumer.files.preview import run_preview
from tests.support.explained import families_of, named

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/expected.jsonl"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_spans_counted_in_the_series_of_the_case(case: Path) -> None:
    file = case / "config.yaml"
    golden = yaml.safe_load(file.read_text())["golden"]
    encoding = "tempo" if golden.get("codec") == "push-bytes" else "otlp_proto"
    config = load_config(file, overrides=[f"kafka.encoding={encoding}"], environ={})
    tenants = settings_by_tenant(config)
    found = explain(config, [case / "input.otlp"], tenants)
    printed = io.StringIO()
    run_preview(config, [case / "input.otlp"], output=printed)
    assert set(named(found)) == families_of(
        json.loads(line) for line in printed.getvalue().split("\n") if line
    )
    report = Report(found.spans, found.findings, tenants)
    for span in found.spans:
        for finding in report.of(span).values():
            assert finding.is_used is not None
            assert finding.is_used or report.why(span, finding)
