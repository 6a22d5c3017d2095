"""Either decoder, as the tests drive it."""

from __future__ import annotations

import importlib.util
import os
from typing import Any, Literal, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from consumer.decode import Decoded, Encoding, open_decoder
from processors.batch import ABSENT, Projection, SpanBatch
from tests.support import otlp

Implementation: TypeAlias = Literal["python", "native"]

IMPLEMENTATIONS: tuple[Implementation, ...] = ("python", "native")


def require(implementation: Implementation) -> None:
    """Skip the test where the native decoder is not built; in CI that is a failure."""
    if implementation == "python" or importlib.util.find_spec("spanmill_native") is not None:
        return
    if os.environ.get("CI"):
        pytest.fail("CI must build the native decoder")
    pytest.skip("the native decoder is not built (make setup builds it when Rust is there)")


class Decode:
    """Calls one implementation: ``decode(value, ..., span_keys=("a",))``."""

    def __init__(self, implementation: Implementation) -> None:
        self.implementation: Implementation = implementation

    def __call__(
        self,
        *values: bytes,
        encoding: Encoding = Encoding.OTLP_PROTO,
        tenants: tuple[str, ...] = ("t",),
        **projection: Any,
    ) -> Decoded:
        """Decode one batch; ``projection`` are the fields of :class:`Projection`."""
        wanted = Projection(**projection)
        decoder = open_decoder(encoding, wanted, implementation=self.implementation)
        return decoder.decode(otlp.raw_records(values, tenants=tenants))


def texts(batch: SpanBatch, codes: NDArray[np.uint32] | None) -> list[str | None]:
    """The text of each code, None for ABSENT."""
    assert codes is not None
    return [None if code == ABSENT else batch.strings.text[code] for code in codes]


def one_span(**fields: Any) -> bytes:
    """A record with one :func:`tests.support.otlp.span` of service ``svc``."""
    return otlp.record(otlp.resource_spans([otlp.span(**fields)]))


def around_span(span: bytes) -> bytes:
    """A record with one span of exactly these bytes and no resource."""
    return otlp.field(1, otlp.field(2, otlp.field(2, span)))


def crowded(spans: int) -> bytes:
    """A record of so many spans of two bytes each."""
    return otlp.field(1, otlp.field(2, otlp.field(2, b"") * spans))


def nested_value(levels: int) -> bytes:
    """An `AnyValue` of so many arrays in arrays, with an unknown field in the innermost."""
    value = otlp.field(1, b"x") + otlp.field(99, 1)
    for _ in range(levels):
        value = otlp.field(5, otlp.field(1, value))
    return value
