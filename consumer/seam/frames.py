"""Frames of deltas as records of the repartition topic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consumer.registry.state import family_header, family_of
from consumer.seam.columns import Columns, FormatError, pack, unpack
from processors.batch import EMPTY
from processors.delta import DeltaFrame, Schema
from processors.sparse import Cells, Exemplars

_FIRST_CODE = EMPTY + 1
"""Codes before it are "no label" (see :class:`processors.delta.DeltaFrame`)."""


def encode_frame(tick_ms: int, frame: DeltaFrame) -> bytes:
    """A frame of one tick. Its strings are those it uses; its rows are in order of appearance."""
    used = np.unique(frame.labels)
    used = used[used > EMPTY]
    codes = np.zeros(int(frame.labels.max(initial=EMPTY)) + 1, np.uint32)
    codes[used] = np.arange(len(used)) + _FIRST_CODE
    columns: dict[str, NDArray[Any]] = {
        "tenant": frame.tenant,
        "labels": codes[frame.labels],
        "spans": frame.spans_of_rows(),
    }
    for index, values in enumerate(frame.values):
        columns[f"values/{index}"] = values
    for index, present in enumerate(frame.present):
        if present is not None:
            columns[f"present/{index}"] = present
    for name, attached in (("cells", frame.cells), ("exemplars", frame.exemplars)):
        for index, table in enumerate(attached):
            for field in fields(table) if table is not None else ():
                columns[f"{name}/{index}/{field.name}"] = getattr(table, field.name)
    header = {
        "tick": tick_ms,
        "schema": schema_header(frame.schema),
        "info": frame.is_info,
        "tenants": frame.tenants,
        "strings": ["", "", *(frame.strings[code] for code in used.tolist())],
    }
    return pack(header, columns)


def decode_frame(value: bytes) -> tuple[int, DeltaFrame]:
    """The tick and the frame. Raises :class:`FormatError`."""
    header, columns = unpack(value)
    try:
        schema = schema_of(header["schema"])
        families = range(len(schema.families))
        frame = DeltaFrame(
            schema=schema,
            tenants=tuple(header["tenants"]),
            tenant=columns["tenant"],
            strings=header["strings"],
            labels=columns["labels"],
            values=tuple(columns[f"values/{index}"] for index in families),
            present=tuple(columns.get(f"present/{index}") for index in families),
            spans=columns["spans"],
            is_info=header["info"],
            cells=_attached(Cells, "cells", columns, len(families)),
            exemplars=_attached(Exemplars, "exemplars", columns, len(families)),
        )
        return int(header["tick"]), frame
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"not a frame of deltas: {error!r}") from error


def schema_header(schema: Schema) -> Mapping[str, Any]:
    """``schema`` as JSON can say it."""
    return {
        "labels": schema.label_names,
        "families": [family_header(family) for family in schema.families],
    }


def schema_of(header: Mapping[str, Any]) -> Schema:
    """What :func:`schema_header` was given."""
    return Schema(tuple(header["labels"]), tuple(map(family_of, header["families"])))


def _attached(
    of_kind: type[Cells | Exemplars], name: str, columns: Columns, families: int
) -> tuple[Any, ...]:
    names = [field.name for field in fields(of_kind)]
    tables = [
        of_kind(*(columns[f"{name}/{index}/{column}"] for column in names))
        if f"{name}/{index}/row" in columns
        else None
        for index in range(families)
    ]
    return tuple(tables) if any(table is not None for table in tables) else ()
