"""What OTLP/HTTP says about bodies: content types, encodings, answers.

Source: OTLP specification 1.x, "OTLP/HTTP" and "JSON Protobuf Encoding"
(https://opentelemetry.io/docs/specs/otlp/#otlphttp). Bound: a body is never larger
than the given limit, neither as sent nor when inflated.
"""

from __future__ import annotations

import zlib
from binascii import Error as HexError
from binascii import b2a_base64, unhexlify
from typing import Any

import orjson
from google.protobuf import json_format
from google.protobuf.message import DecodeError as ProtobufDecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from consumer.errors import SpanmillError

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
ENCODINGS = ("gzip", "identity")
MAX_JSON_DEPTH = 60


class RequestRefusedError(SpanmillError):
    """The client gets ``status``; 429 and 503 ask it to come again, others do not."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def media_type_of(content_type: str | None) -> str:
    """The media type of a ``Content-Type`` header. Raises 415 for any but the two of OTLP."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type not in (PROTOBUF, JSON):
        raise RequestRefusedError(
            415, f"Content-Type is {content_type!r}; expected {PROTOBUF} or {JSON}"
        )
    return media_type


def inflate(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Undo a ``Content-Encoding``, reading no further than ``max_bytes``.

    Raises 415 for an unknown encoding, 400 for a broken gzip stream, 413 beyond the limit.
    """
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise RequestRefusedError(
            415, f"Content-Encoding is {encoding!r}; expected {' or '.join(ENCODINGS)}"
        )
    parts: list[bytes] = []
    left = max_bytes
    while body:
        member = zlib.decompressobj(wbits=31)
        try:
            part = member.decompress(body, left + 1)
        except zlib.error as error:
            raise RequestRefusedError(400, f"the body is no gzip stream: {error}") from error
        if len(part) > left:
            raise RequestRefusedError(413, f"the body inflates to more than {max_bytes} bytes")
        if not member.eof:
            raise RequestRefusedError(400, "the gzip stream ends too early")
        parts.append(part)
        left -= len(part)
        body = member.unused_data
    return b"".join(parts)


def parse_request(body: bytes, media_type: str) -> ExportTraceServiceRequest:
    """Read an export request. Raises 400 when the body is none."""
    if media_type == JSON:
        return _parse_json(body)
    try:
        return ExportTraceServiceRequest.FromString(body)
    except ProtobufDecodeError as error:
        raise RequestRefusedError(
            400, f"the body is no ExportTraceServiceRequest: {error}"
        ) from error


def encode_success(rejected: int, text: str, media_type: str) -> bytes:
    """Encode the body of a 200, with a partial success when spans were rejected."""
    response = ExportTraceServiceResponse()
    if rejected:
        response.partial_success.rejected_spans = rejected
        response.partial_success.error_message = text
    if media_type == JSON:
        return orjson.dumps(json_format.MessageToDict(response))
    return response.SerializeToString()


def encode_failure(text: str, media_type: str) -> bytes:
    """Encode the body of a 4xx or 5xx: a ``google.rpc.Status`` that has only its message."""
    if media_type == JSON:
        return orjson.dumps({"message": text})
    utf8 = text.encode()
    return b"\x12" + _varint(len(utf8)) + utf8


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _parse_json(body: bytes) -> ExportTraceServiceRequest:
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestRefusedError(400, f"the body is no JSON: {error}") from error
    if not isinstance(tree, dict):
        raise RequestRefusedError(400, "the body is no JSON object")
    for span in _json_spans(tree):
        _ids_to_base64(span)
    request = ExportTraceServiceRequest()
    try:
        json_format.ParseDict(
            tree, request, ignore_unknown_fields=True, max_recursion_depth=MAX_JSON_DEPTH
        )
    except (json_format.ParseError, ValueError, TypeError, AttributeError) as error:
        text = f"the body is no ExportTraceServiceRequest: {error}"
        raise RequestRefusedError(400, text) from error
    return request


def _json_spans(tree: dict[str, Any]) -> list[dict[str, Any]]:
    spans = [tree]
    for names in (
        ("resourceSpans", "resource_spans"),
        ("scopeSpans", "scope_spans"),
        ("spans",),
    ):
        spans = [child for parent in spans for child in _objects(parent, names)]
    return spans


def _objects(parent: dict[str, Any], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the objects in the arrays of ``parent`` called so; protobuf judges the rest."""
    arrays = [parent[name] for name in names if isinstance(parent.get(name), list)]
    return [child for array in arrays for child in array if isinstance(child, dict)]


def _ids_to_base64(span: dict[str, Any]) -> None:
    """OTLP writes ids in hex where protobuf's JSON mapping expects base64.

    An id that is no hex becomes one byte long, so that its span is refused like any
    other with an id of the wrong length, without losing the rest of the request.
    """
    for owner in (span, *_objects(span, ("links",))):
        for name in ("traceId", "trace_id", "spanId", "span_id", "parentSpanId", "parent_span_id"):
            text = owner.get(name)
            if isinstance(text, str):
                owner[name] = b2a_base64(_from_hex(text), newline=False).decode()


def _from_hex(text: str) -> bytes:
    try:
        return unhexlify(text)
    except (HexError, ValueError):
        return b"\xff"
