"""Lets files of spans through, and tells what became of each span."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from consumer.config.environment import environment
from consumer.config.load import load_tenants
from consumer.config.model import Config
from consumer.config.tenants import Processing, SettingsByTenant
from consumer.decode import Decoder, Encoding, open_decoder
from consumer.errors import InputError
from consumer.explain.findings import Findings
from consumer.explain.graph_witness import GraphWitness
from consumer.explain.prose import write_prose
from consumer.explain.report import Report, write_lines
from consumer.explain.spans import NumberingDecoder, SeenSpans, numbers_of
from consumer.explain.trace import Traced
from consumer.files.rehearsal import Rehearsal
from consumer.pipeline import ALL_PROCESSORS
from consumer.plans import Plan
from processors.batch import Projection
from processors.delta import Stateless
from processors.service_graphs import EdgeStore

TRACE_ID_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Explanation:
    """All spans of the files, and what was found out about each."""

    spans: SeenSpans
    findings: Findings
    tenants: SettingsByTenant


def explain(
    config: Config,
    inputs: Sequence[Path],
    tenants: SettingsByTenant,
    *,
    keep_pending: bool = False,
) -> Explanation:
    """Find out what a worker would do with the spans of ``inputs``.

    Half edges expire at the end unless ``keep_pending``. Raises :class:`InputError` for a
    file that cannot be read or holds no record of spans.
    """
    spans, findings = SeenSpans(), Findings()
    witness = GraphWitness(findings)

    def open_with(encoding: Encoding, projection: Projection) -> Decoder:
        return NumberingDecoder(open_decoder(encoding, projection), spans)

    def open_plan(processing: Processing, edges: EdgeStore) -> Plan:
        plan = Plan(processing, edges, witness)
        plan.processors = tuple(
            Traced(each, spans, findings) if isinstance(each, Stateless) else each
            for each in plan.processors
        )
        return plan

    rehearsal = Rehearsal(config, tenants, open_with=open_with, open_plan=open_plan)
    for path in inputs:
        spans.file = str(path)
        rehearsal.push(path)
        if spans.batch is not None:
            numbers = numbers_of(spans.batch)
            for mask, reason in rehearsal.pipeline.left_out(spans.batch):
                findings.discard(numbers[np.flatnonzero(mask)].tolist(), ALL_PROCESSORS, reason)
    if not keep_pending:
        rehearsal.close()
    findings.settle(rehearsal.registry)
    return Explanation(spans, findings, tenants)


def run_explain(
    config: Config,
    inputs: Sequence[Path],
    *,
    trace_id: str | None = None,
    as_json: bool = False,
    output: TextIO = sys.stdout,
) -> None:
    """Write what became of each span, or of those of one trace: in words, or a JSON line each.

    Raises :class:`InputError` for a file that cannot be read or holds no record of spans,
    and for a trace that no file has.
    """
    wanted = None if trace_id is None else _trace(trace_id)
    found = explain(config, inputs, load_tenants(config, environ=environment()))
    chosen = [span for span in found.spans if wanted in (None, span.trace_id)]
    if wanted is not None and not chosen:
        raise InputError(f"trace {trace_id}: none of the {len(found.spans)} spans is of it")
    report = Report(found.spans, found.findings, found.tenants)
    (write_lines if as_json else write_prose)(report, chosen, output)


def _trace(text: str) -> str:
    """A trace id as spans have it: hex, without dashes, with all its zeros in front."""
    digits = text.strip().lower().replace("-", "")
    if not digits or set(digits) - set("0123456789abcdef") or len(digits) > TRACE_ID_DIGITS:
        raise InputError(f"trace {text}: expected up to {TRACE_ID_DIGITS} hexadecimal digits")
    return digits.zfill(TRACE_ID_DIGITS)
