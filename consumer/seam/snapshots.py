"""Snapshots of shards in a compacted topic: complete, or not there.

A snapshot is cut into chunks, each under a key of its own, and a head that says how many
there are and what they hold. All of it, and the offset it covers, is one transaction. The last
tick that was delivered stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from consumer.seam.columns import FormatError
from consumer.seam.outgoing import MOST_RECORD_BYTES

VERSION = 1
HEAD, WRITTEN = b"head", b"written"


def _chunk_key(number: int) -> bytes:
    return b"chunk/%d" % number


@dataclass(frozen=True, slots=True)
class Entry:
    """A record of the snapshot topic; without a value the key is taken away."""

    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Kept:
    """What the topic holds of a shard: a snapshot, if any, and the last tick delivered."""

    snapshot: bytes | None
    written_ms: int
    chunks: int


def entries_of(dumped: bytes, chunks_before: int) -> Iterator[Entry]:
    """A snapshot as records; it takes the place of one of ``chunks_before`` chunks."""
    starts = range(0, max(1, len(dumped)), MOST_RECORD_BYTES)
    for number, start in enumerate(starts):
        yield Entry(_chunk_key(number), dumped[start : start + MOST_RECORD_BYTES])
    for number in range(len(starts), chunks_before):
        yield Entry(_chunk_key(number), None)
    head = {
        "v": VERSION,
        "chunks": len(starts),
        "bytes": len(dumped),
        "digest": blake2b(dumped, digest_size=16).hexdigest(),
    }
    yield Entry(HEAD, orjson.dumps(head))


def written_entry(tick_ms: int) -> Entry:
    """That everything up to ``tick_ms`` is delivered."""
    return Entry(WRITTEN, orjson.dumps({"v": VERSION, "tick": tick_ms}))


def kept_of(found: Mapping[bytes, bytes]) -> Kept:
    """What the last values of the keys of a shard say. Raises :class:`FormatError`."""
    try:
        written = orjson.loads(found[WRITTEN])["tick"] if WRITTEN in found else 0
        if HEAD not in found:
            return Kept(None, int(written), 0)
        head = orjson.loads(found[HEAD])
        if head["v"] != VERSION:
            raise FormatError(f"a snapshot of version {head['v']}, expected {VERSION}")
        dumped = b"".join(found[_chunk_key(number)] for number in range(head["chunks"]))
        digest = blake2b(dumped, digest_size=16).hexdigest()
        if digest != head["digest"]:
            raise FormatError("the chunks of the snapshot are not those of its head")
        return Kept(dumped, int(written), int(head["chunks"]))
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"a snapshot is not whole: {error!r}") from error
