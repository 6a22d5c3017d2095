"""Wild protobuf: valid by the letter, in ways that no sane producer uses; and broken bytes."""

from __future__ import annotations

from random import Random

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from tests.support.otlp import varint

TEXTS = (b"", b"a", b"b", b"service.name", b"k" * 70, b"caf\xc3\xa9", b"\xff", b"\xed\xa0\x80")
"""Keys, values, names and ids; some are not UTF-8, some are keys that the tests want."""

NUMBERS = (0, 1, 2, 3, 5, 127, 128, 300, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1)

_WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: 1,
    FieldDescriptor.TYPE_FIXED64: 1,
    FieldDescriptor.TYPE_FIXED32: 5,
    FieldDescriptor.TYPE_STRING: 2,
    FieldDescriptor.TYPE_BYTES: 2,
    FieldDescriptor.TYPE_MESSAGE: 2,
}


def wild_message(rng: Random, message: Descriptor, depth: int = 12) -> bytes:
    """Fields in any order, any number of times, among unknown ones; overlong varints."""
    fields = [field for field in message.fields if depth > 0 or field.message_type is None]
    encoded = b""
    for _ in range(rng.choice((0, 1, 2, 3, 4, 6))):
        if fields and rng.random() < 0.85:
            encoded += _known_field(rng, rng.choice(fields), depth)
        else:
            encoded += _unknown_field(rng, rng.choice((17, 99, 2**29 - 1)))
    return encoded


def _known_field(rng: Random, field: FieldDescriptor, depth: int) -> bytes:
    wire_type = _WIRE_TYPES.get(field.type, 0)
    if rng.random() < 0.05:
        return _unknown_field(rng, field.number, but=wire_type)
    if field.message_type is not None:
        payload = wild_message(rng, field.message_type, depth - 1)
        return _tag(rng, field.number, 2) + _long(rng, len(payload), 5) + payload
    return _tag(rng, field.number, wire_type) + _payload(rng, wire_type)


def _unknown_field(rng: Random, number: int, *, but: int = 6, depth: int = 3) -> bytes:
    """A field of any wire type ``but`` one."""
    wire_type = rng.choice([kind for kind in (0, 1, 2, 5, 3)[: 5 if depth else 4] if kind != but])
    if wire_type != 3:
        return _tag(rng, number, wire_type) + _payload(rng, wire_type)
    inner = b""
    for _ in range(2):
        inner += _unknown_field(rng, rng.randint(1, 20), depth=depth - 1)
    return _tag(rng, number, 3) + inner + _tag(rng, number, 4)


def _payload(rng: Random, wire_type: int) -> bytes:
    if wire_type == 0:
        return _long(rng, rng.choice(NUMBERS), 10)
    if wire_type == 2:
        text = rng.choice(TEXTS) if rng.random() < 0.8 else rng.randbytes(rng.choice((8, 16, 200)))
        return _long(rng, len(text), 5) + text
    width = 8 if wire_type == 1 else 4
    return bytes(width) if rng.random() < 0.3 else rng.randbytes(width)


def _tag(rng: Random, number: int, wire_type: int) -> bytes:
    return _long(rng, number << 3 | wire_type, 5)


def _long(rng: Random, number: int, most: int) -> bytes:
    """A varint, now and then longer than it need be."""
    encoded = varint(number)
    if len(encoded) == most or rng.random() < 0.95:
        return encoded
    length = rng.randint(len(encoded) + 1, most)
    padding = b"\x80" * (length - len(encoded) - 1) + b"\0"
    return encoded[:-1] + bytes((encoded[-1] | 0x80,)) + padding


def mutate(rng: Random, record: bytes, other: bytes) -> bytes:
    """``record`` with a few bytes flipped, cut, inserted, repeated, or spliced with ``other``."""
    mutant = bytearray(record)
    for _ in range(rng.randint(1, 3)):
        start = rng.randint(0, len(mutant))
        end = min(len(mutant), start + rng.choice((0, 1, 1, 2, 4, 8, 50)))
        match rng.randrange(6):
            case 0 if start < len(mutant):
                mutant[start] ^= 1 << rng.randrange(8)
            case 1:
                del mutant[start:]
            case 2:
                del mutant[start:end]
            case 3:
                mutant[start:start] = rng.randbytes(rng.choice((1, 1, 2, 5)))
            case 4:
                mutant[start:start] = mutant[start:end]
            case _:
                cut = rng.randint(0, len(other))
                mutant[start:end] = other[cut : cut + rng.choice((1, 4, 20, 100))]
    return bytes(mutant)
