"""The listener's routes: ``POST /v1/traces`` and nothing else."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from consumer.distributor.otlp import (
    ENCODINGS,
    PROTOBUF,
    RequestRefusedError,
    encode_failure,
    encode_success,
    inflate,
    media_type_of,
    parse_request,
)
from consumer.distributor.publisher import NotWrittenError, OverloadedError, Publisher
from consumer.distributor.split import Split, split_by_trace
from consumer.kafka.client import OutgoingRecord

MAX_BODY_BYTES = 20 * 1024 * 1024
"""The Collector's own limit; it holds before and after inflating."""
MAX_RECORD_BYTES = 900_000
"""Below Kafka's 1,000,000 (``message.max.bytes``), with room for key, header and framing."""
ANSWER_TIMEOUT_S = 30.0
"""A group waiting (10 s to flush) and this request's own (10 s), with a margin."""
RETRY_AFTER_S = 2

_TENANT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9!\-_.*'()]{1,150}")
"""What Tempo and Mimir take as the name of a tenant."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the records go: the topic, and the header that names the tenant."""

    topic: str
    tenant_header: str = "X-Scope-OrgID"


def make_app(publisher: Publisher, target: Target) -> Starlette:
    """Build the ASGI application that accepts OTLP/HTTP and publishes one record a trace."""
    return Starlette(
        routes=[Route("/v1/traces", _Traces(publisher, target).post, methods=["POST"])]
    )


class _Traces:
    def __init__(self, publisher: Publisher, target: Target) -> None:
        self._publisher = publisher
        self._target = target

    async def post(self, request: Request) -> Response:
        """Answer 200 only when every accepted span is acknowledged by Kafka."""
        media_type = PROTOBUF
        try:
            media_type = media_type_of(request.headers.get("content-type"))
            headers = self._record_headers(request)
            body = await _read_body(request)
            encoding = request.headers.get("content-encoding", "").strip().lower()
            split = await run_in_threadpool(_split_body, body, encoding, media_type)
            await self._publish(split, headers)
        except RequestRefusedError as refusal:
            return _refuse(refusal, media_type)
        except ClientDisconnect:
            return Response(status_code=400)
        answer = encode_success(split.rejected, split.rejection_text, media_type)
        return Response(answer, media_type=media_type)

    def _record_headers(self, request: Request) -> tuple[tuple[str, bytes], ...]:
        name = self._target.tenant_header
        tenant = request.headers.get(name, "")
        if not tenant:
            return ()
        if not _TENANT.fullmatch(tenant):
            raise RequestRefusedError(400, f"the header {name} names no valid tenant")
        return ((name, tenant.encode()),)

    async def _publish(self, split: Split, headers: tuple[tuple[str, bytes], ...]) -> None:
        if not split.records:
            return
        records = [
            OutgoingRecord(self._target.topic, record.value, key=record.key, headers=headers)
            for record in split.records
        ]
        try:
            outcome = asyncio.wrap_future(self._publisher.publish(records))
            await asyncio.wait_for(outcome, ANSWER_TIMEOUT_S)
        except OverloadedError as error:
            raise RequestRefusedError(429, str(error)) from error
        except NotWrittenError as error:
            raise RequestRefusedError(503, f"Kafka did not take the spans: {error}") from error
        except TimeoutError as error:
            raise RequestRefusedError(503, "Kafka did not take the spans in time") from error


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise RequestRefusedError(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _split_body(body: bytes, encoding: str, media_type: str) -> Split:
    plain = inflate(body, encoding, MAX_BODY_BYTES)
    return split_by_trace(parse_request(plain, media_type), MAX_RECORD_BYTES)


def _refuse(refusal: RequestRefusedError, media_type: str) -> Response:
    headers = {}
    if refusal.status in (429, 503):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if refusal.status == 415:
        headers["Accept-Encoding"] = ", ".join(ENCODINGS)
    body = encode_failure(str(refusal), media_type)
    return Response(body, refusal.status, headers=headers, media_type=media_type)
