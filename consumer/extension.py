"""Whether what has a twin in the native extension runs there: one rule for all of it."""

from __future__ import annotations

from importlib import import_module
from typing import Literal, TypeAlias

from consumer.errors import SpanmillError

Implementation: TypeAlias = Literal["auto", "native", "python"]
"""``auto``: the native one where the extension is built."""


def is_native(implementation: Implementation = "auto") -> bool:
    """Whether to take the native twin.

    Raises :class:`SpanmillError` for ``native`` where the extension is not built.
    """
    if implementation == "python":
        return False
    try:
        import_module("spanmill_native")
    except ImportError as error:
        if implementation == "native":
            raise SpanmillError(
                "the native extension is not built: run maturin in native/ (make setup)"
            ) from error
        return False
    return True
