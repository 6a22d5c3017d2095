"""What 1.0 says of whole families: type, help and unit, in requests of their own.

Wire format: prometheus.WriteRequest{metadata=3}, MetricMetadata{type=1,
metric_family_name=2, help=4, unit=5}. In 2.0 every series says it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import snappy

from consumer.remote_write.request import EncodedRequest
from consumer.remote_write.series import MetricType, SeriesBlock
from consumer.remote_write.time_series import varint

_METADATA = b"\x1a"
_NAME, _HELP, _UNIT = b"\x12", b"\x22", b"\x2a"
_TYPES = {MetricType.COUNTER: 1, MetricType.GAUGE: 2, MetricType.HISTOGRAM: 3}
_SUFFIXES = ("_bucket", "_count", "_sum")


@dataclass(frozen=True, slots=True)
class Family:
    """What is said of one family; ``name`` has no suffix of a histogram's series."""

    name: str
    type: MetricType
    help: str
    unit: str


def families_of(blocks: Iterable[SeriesBlock]) -> Sequence[Family]:
    """The families of a tick, each once, in the order of their first block."""
    return tuple(dict.fromkeys(map(_family, blocks)))


def encode_metadata(families: Sequence[Family], most: int) -> Iterator[EncodedRequest]:
    """Requests with ``most`` families each."""
    for start in range(0, len(families), most):
        part = families[start : start + most]
        body = snappy.compress(b"".join(map(_encoded, part)))
        yield EncodedRequest(body, 0, 0, metadata=len(part))


def _family(block: SeriesBlock) -> Family:
    name = block.name
    if block.type is MetricType.HISTOGRAM and block.histograms is None:
        suffix = next((each for each in _SUFFIXES if name.endswith(each)), "")
        name = name.removesuffix(suffix)
    return Family(name, block.type, block.help, block.unit)


def _encoded(family: Family) -> bytes:
    """A text that is not Unicode is sent as far as it is."""
    content = b"\x08" + varint(_TYPES[family.type])
    for tag, text in ((_NAME, family.name), (_HELP, family.help), (_UNIT, family.unit)):
        if text:
            encoded = text.encode(errors="replace")
            content += tag + varint(len(encoded)) + encoded
    return _METADATA + varint(len(content)) + content
