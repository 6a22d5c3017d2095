"""How many spans a sampled span stands for (tempo-behaviour.md 2.5, D16)."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from processors.batch import ABSENT, TYPE_MARKS, Codes, Projection, SpanBatch
from processors.settings import Settings

_HEX_DIGITS = 14
_THRESHOLDS = 1 << 56
"""Thresholds and randomness are 56-bit numbers (OpenTelemetry, probability sampling)."""

_RANDOM_BITS = 53
_THRESHOLD = re.compile(r"[0-9a-f]{1,14}")
_RANDOMNESS = re.compile(r"[0-9a-f]{14}")


class MultiplierSettings(Settings):
    """Where the weight of a span stands; shared by processors that count spans."""

    span_multiplier_key: str = ""
    enable_tracestate_span_multiplier: bool = False


class Multiplier:
    """The weight of each span: from its trace state, else its attribute, else 1."""

    def __init__(self, key: str, *, from_trace_state: bool) -> None:
        self._key = key
        self._from_trace_state = from_trace_state
        keys = (key,) if key else ()
        self.projection = Projection(
            typed_resource_keys=keys, typed_span_keys=keys, trace_state=from_trace_state
        )

    @property
    def is_one(self) -> bool:
        """Whether every span stands for itself alone."""
        return not self._key and not self._from_trace_state

    def of(self, batch: SpanBatch) -> NDArray[np.float64]:
        """The weight of each span of ``batch`` (float64[n], above 0)."""
        weights = np.ones(len(batch))
        if self._key:
            of_resource = _ratio(batch, batch.resources.typed[self._key])[batch.resource]
            of_span = _ratio(batch, batch.typed[self._key])
            ratio = np.where(of_span > 0, of_span, of_resource)
            np.divide(1.0, ratio, out=weights, where=ratio > 0)
        if self._from_trace_state and batch.trace_state is not None:
            counts = _adjusted(batch, batch.trace_state)
            weights = np.where(counts > 0, counts, weights)
        return weights


def _ratio(batch: SpanBatch, codes: Codes) -> NDArray[np.float64]:
    """The sampling ratio in a typed column; 0 where it is none that can be divided by."""
    distinct, of_row = np.unique(codes, return_inverse=True)
    text = batch.strings.text
    ratios = [0.0 if code == ABSENT else _number(text[code]) for code in distinct.tolist()]
    return np.array(ratios)[of_row]


def _number(typed: str) -> float:
    if typed[0] not in (TYPE_MARKS["int"], TYPE_MARKS["double"]):
        return 0.0
    number = float(typed[1:])
    return number if number > 0 and 0 < 1 / number < float("inf") else 0.0


def _adjusted(batch: SpanBatch, codes: Codes) -> NDArray[np.float64]:
    distinct, of_row = np.unique(codes, return_inverse=True)
    text = batch.strings.text
    return np.array([adjusted_count(text[code]) for code in distinct.tolist()])[of_row]


def adjusted_count(trace_state: str) -> float:
    """The adjusted count that the ``ot`` member of ``trace_state`` tells; 0 if it tells none.

    A member with a malformed field tells nothing. A fractional count becomes one of its
    two neighbours when the member holds a random value, so that the mean over random
    values is the count.
    """
    fields = _ot_fields(trace_state)
    threshold, randomness = fields.get("th", ""), fields.get("rv")
    if not _THRESHOLD.fullmatch(threshold):
        return 0.0
    if randomness is not None and not _RANDOMNESS.fullmatch(randomness):
        return 0.0
    kept = _THRESHOLDS - int(threshold.ljust(_HEX_DIGITS, "0"), 16)
    count = _THRESHOLDS / kept
    if count.is_integer() or randomness is None:
        return count
    floor = float(int(count))
    drawn = (int(randomness, 16) >> (56 - _RANDOM_BITS)) / (1 << _RANDOM_BITS)
    return floor + 1 if drawn < count - floor else floor


def _ot_fields(trace_state: str) -> dict[str, str]:
    """The fields of the member ``ot=key:value;key:value``."""
    for member in trace_state.split(","):
        vendor, _, value = member.strip(" \t").partition("=")
        if vendor == "ot":
            pairs = (part.partition(":") for part in value.split(";"))
            return {key: text for key, _, text in pairs}
    return {}
