"""The attributes that the spans of some records have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from google.protobuf.message import DecodeError

from consumer.decode import Encoding
from consumer.decode.json_values import MalformedJson
from consumer.decode.messages import PUSH_BYTES, TRACES, Message
from consumer.decode.otlp_json import to_protobuf


def attribute_keys(values: Sequence[bytes], encoding: Encoding) -> Counter[str]:
    """Attribute, of a span or of its resource -> spans that have it.

    Records that cannot be decoded are passed over, and so are keys that are not UTF-8.
    """
    counts = Counter[bytes]()
    for value in values:
        try:
            for traces in _traces(value, encoding):
                _count(traces, counts)
        except (DecodeError, MalformedJson):
            continue
    return Counter({key.decode(): count for key, count in counts.items() if _is_text(key)})


def _traces(value: bytes, encoding: Encoding) -> Iterator[Message]:
    if encoding is Encoding.TEMPO:
        for trace in PUSH_BYTES.FromString(value).traces:
            yield TRACES.FromString(trace)
    else:
        is_json = encoding is Encoding.OTLP_JSON
        yield TRACES.FromString(to_protobuf(value) if is_json else value)


def _count(traces: Message, counts: Counter[bytes]) -> None:
    for of_resource in traces.resource_spans:
        shared = {attribute.key for attribute in of_resource.resource.attributes}
        spans = 0
        for of_scope in of_resource.scope_spans:
            spans += len(of_scope.spans)
            for span in of_scope.spans:
                counts.update({attribute.key for attribute in span.attributes} - shared)
        counts.update(dict.fromkeys(shared, spans))


def _is_text(key: bytes) -> bool:
    try:
        return bool(key.decode())
    except UnicodeDecodeError:
        return False
