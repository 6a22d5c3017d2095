"""The names of OpenTelemetry's enums, as labels and filters write them."""

from __future__ import annotations

from processors.batch import Kind

KINDS = tuple(f"SPAN_KIND_{kind.name}" for kind in Kind)
STATUSES = ("STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR")


def kind_text(kind: int) -> str:
    """``SPAN_KIND_SERVER``; an unknown number is written as it is."""
    return KINDS[kind] if 0 <= kind < len(KINDS) else str(kind)


def status_text(status: int) -> str:
    """``STATUS_CODE_ERROR``; an unknown number is written as it is."""
    return STATUSES[status] if 0 <= status < len(STATUSES) else str(status)
