"""Frames for the registry's tests: label values in plain text, deltas as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from processors.delta import DeltaFrame, Family, Instrument, Schema

BOUNDS = (0.1, 1.0)
CALLS = Family("calls_total", Instrument.COUNTER, "Calls.")
LATENCY = Family("latency", Instrument.HISTOGRAM, "Latency.", "seconds", BOUNDS)
SCHEMA = Schema(("service", "path"), (CALLS, LATENCY))
INFO = Schema(("service",), (Family("info", Instrument.GAUGE, "Info."),))


@dataclass(frozen=True, slots=True)
class Row:
    """A delta: so many calls, and observations by bucket (+Inf last) with their sum."""

    tenant: str
    service: str
    path: str = ""
    calls: float = 1.0
    observed: tuple[float, float, float, float] | None = None


def frame(rows: Sequence[Row]) -> DeltaFrame:
    """One frame of all ``rows``, in order; equal label sets may occur twice."""
    tenants = tuple(dict.fromkeys(row.tenant for row in rows))
    strings = ["", "", *dict.fromkeys(text for row in rows for text in (row.service, row.path))]
    codes = {text: code for code, text in enumerate(strings) if text} | {"": 0}
    return DeltaFrame(
        schema=SCHEMA,
        tenants=tenants,
        tenant=np.array([tenants.index(row.tenant) for row in rows], np.uint32),
        strings=strings,
        labels=np.array([[codes[row.service], codes[row.path]] for row in rows], np.uint32),
        values=(
            np.array([[row.calls] for row in rows]),
            np.array([row.observed or (0.0, 0.0, 0.0, 0.0) for row in rows]),
        ),
        present=(None, np.array([row.observed is not None for row in rows])),
    )


def gauge(tenant: str, service: str, value: float) -> DeltaFrame:
    """A gauge's value."""
    return DeltaFrame(
        schema=INFO,
        tenants=(tenant,),
        tenant=np.zeros(1, np.uint32),
        strings=["", "", service],
        labels=np.array([[2]], np.uint32),
        values=(np.array([[value]]),),
        present=(None,),
    )
