"""Span names without the ids in them, so that one operation has one name.

The rule looks at nothing but the name itself, so that all workers write the same series,
before and after a restart. Tempo learns patterns instead (DRAIN, tempo-behaviour.md 3.9)
and writes the first name of a pattern as it came; what counts as an id is its rule.
"""

from __future__ import annotations

import re
from functools import lru_cache

PLACEHOLDER = "<_>"

_TOKEN = re.compile(
    r"[0-9a-fA-F]+-[0-9a-fA-F-]+(?![^\W_])"  # a UUID and its like
    r"|[^\W_]+"  # a word or a number
    r"|\s+"
    r"|%[0-9a-fA-F]{2}"
    r"|.",
    re.DOTALL,
)
_HEX = re.compile(r"[0-9a-fA-F-]*")
_MIN_TOKENS, _MAX_TOKENS = 2, 79
"""Names of fewer or more tokens stay as they are."""

_CACHED_NAMES = 1 << 16


@lru_cache(maxsize=_CACHED_NAMES)
def template(name: str) -> str:
    """``GET /users/123`` -> ``GET /users/<_>``."""
    tokens = _TOKEN.findall(name)
    if not _MIN_TOKENS <= len(tokens) <= _MAX_TOKENS:
        return name
    return "".join(PLACEHOLDER if is_id(token) else token for token in tokens)


def is_id(token: str) -> bool:
    """Whether ``token`` looks like data: hexadecimal with a digit, or mostly digits."""
    digits = sum(character.isdigit() for character in token)
    if not digits:
        return False
    return bool(_HEX.fullmatch(token)) or digits > max(len(token) / 4, 1)
