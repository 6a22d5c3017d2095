"""Record bytes to columns: two implementations of one interface, three encodings."""

from __future__ import annotations

from typing import Literal

from consumer.decode.interface import (
    MALFORMED_JSON,
    MALFORMED_PROTOBUF,
    REASONS,
    TOO_MANY_SPANS,
    Decoded,
    Decoder,
    Encoding,
    Failure,
    RawRecords,
)
from consumer.decode.otlp_json import JsonDecoder
from consumer.decode.python import PythonDecoder
from consumer.errors import SpanmillError
from processors.batch import Projection

__all__ = [
    "MALFORMED_JSON",
    "MALFORMED_PROTOBUF",
    "REASONS",
    "TOO_MANY_SPANS",
    "Decoded",
    "Decoder",
    "Encoding",
    "Failure",
    "RawRecords",
    "open_decoder",
]


def open_decoder(
    encoding: Encoding,
    projection: Projection,
    *,
    implementation: Literal["auto", "native", "python"] = "auto",
) -> Decoder:
    """Return a decoder; ``auto`` takes the native one where it is built.

    Raises :class:`SpanmillError` for ``native`` where it is not.
    """
    decoder = _protobuf_decoder(encoding, projection, implementation)
    return JsonDecoder(decoder) if encoding is Encoding.OTLP_JSON else decoder


def _protobuf_decoder(encoding: Encoding, projection: Projection, implementation: str) -> Decoder:
    if implementation == "python":
        return PythonDecoder(encoding, projection)
    try:
        from consumer.decode.native import NativeDecoder  # noqa: PLC0415  may not be built
    except ImportError as error:
        if implementation == "native":
            raise SpanmillError(
                "the native decoder is not built: run maturin in native/ (make setup)"
            ) from error
        return PythonDecoder(encoding, projection)
    return NativeDecoder(encoding, projection)
