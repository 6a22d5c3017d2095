"""Record bytes to columns: two implementations of one interface, three encodings."""

from __future__ import annotations

from consumer.decode.interface import (
    MALFORMED_JSON,
    MALFORMED_PROTOBUF,
    REASONS,
    TOO_MANY_SPANS,
    Decoded,
    Decoder,
    Encoding,
    Failure,
    OpenDecoder,
    RawRecords,
)
from consumer.decode.otlp_json import JsonDecoder
from consumer.decode.python import PythonDecoder
from consumer.extension import Implementation, is_native
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
    "OpenDecoder",
    "RawRecords",
    "open_decoder",
]


def open_decoder(
    encoding: Encoding,
    projection: Projection,
    *,
    implementation: Implementation = "auto",
) -> Decoder:
    """Return a decoder (see :func:`consumer.acceleration.is_native`)."""
    decoder = _protobuf_decoder(encoding, projection, implementation)
    return JsonDecoder(decoder) if encoding is Encoding.OTLP_JSON else decoder


def _protobuf_decoder(
    encoding: Encoding, projection: Projection, implementation: Implementation
) -> Decoder:
    if not is_native(implementation):
        return PythonDecoder(encoding, projection)
    from consumer.decode.native import NativeDecoder  # noqa: PLC0415  may not be built

    return NativeDecoder(encoding, projection)
