"""The state of tables as columns, so that another registry can go on from it.

Slots and codes of strings are not kept: nothing that is told depends on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from consumer.registry.table import SeriesTable
from processors.delta import Family, Instrument, NativeShape
from processors.sparse import Exemplars
from processors.strings import KeptStrings

Columns = Mapping[str, NDArray[Any]]


def json_key(label_names: Sequence[str]) -> str:
    """A key for label names that JSON can have."""
    return orjson.dumps(label_names).decode()


def dump_tables(
    tables: Mapping[str, SeriesTable], strings: KeptStrings
) -> tuple[Mapping[str, Any], Columns]:
    """The tables by their keys, and the strings they use."""
    headers: list[Mapping[str, Any]] = []
    columns: dict[str, NDArray[Any]] = {}
    for number, (key, table) in enumerate(tables.items()):
        families = [family_header(family) for family in table.families]
        headers.append({"key": key, "labels": table.label_names, "families": families})
        columns |= {f"{number}/{name}": column for name, column in _dump(table).items()}
    labels = [columns[f"{number}/rows"][:, 1:].reshape(-1) for number in range(len(headers))]
    used = np.unique(np.concatenate(labels)) if labels else np.zeros(0, np.uint32)
    for number in range(len(headers)):
        rows = columns[f"{number}/rows"]
        rows[:, 1:] = np.searchsorted(used, rows[:, 1:])
    return {"tables": headers, "strings": [strings.text[code] for code in used.tolist()]}, columns


def load_tables(
    header: Mapping[str, Any], columns: Columns, strings: KeptStrings
) -> dict[str, SeriesTable]:
    """What was dumped, with the codes of ``strings``."""
    codes = np.array([strings.code(text) if text else 0 for text in header["strings"]], np.uint32)
    tables: dict[str, SeriesTable] = {}
    for number, of_table in enumerate(header["tables"]):
        prefix = f"{number}/"
        own = {n.removeprefix(prefix): c for n, c in columns.items() if n.startswith(prefix)}
        rows = own["rows"].copy()
        rows[:, 1:] = codes[rows[:, 1:]]
        table = tables[of_table["key"]] = SeriesTable(of_table["labels"])
        _load(table, [family_of(family) for family in of_table["families"]], rows, own)
    return tables


def family_header(family: Family) -> Sequence[Any]:
    """``family`` as JSON can say it."""
    shape = None if family.shape is None else astuple(family.shape)
    of_kind = family.instrument.value
    return [family.name, of_kind, family.help, family.unit, family.bounds, shape]


def family_of(header: Sequence[Any]) -> Family:
    """What :func:`family_header` was given."""
    name, of_kind, text, unit, bounds, shape = header
    return Family(
        name=name,
        instrument=Instrument(of_kind),
        help=text,
        unit=unit,
        bounds=tuple(bounds),
        shape=None if shape is None else NativeShape(*shape),
    )


def _dump(table: SeriesTable) -> dict[str, NDArray[Any]]:
    slots = table.occupied()
    columns: dict[str, NDArray[Any]] = {
        "rows": table.rows[slots],
        "life": table.life[slots],
        "updated_ms": table.updated_ms[slots],
        "began_ms": table.began_ms[slots],
    }
    for column, values in enumerate(table.values):
        columns[f"values/{column}"] = values[slots]
    for column, cells in table.cells.items():
        dumped = cells.dump(slots)
        columns |= {f"cells/{column}/{name}": each for name, each in dumped.items()}
    for column, store in table.exemplars.items():
        exemplars = store.dump(slots)
        for field in fields(exemplars) if exemplars is not None else ():
            columns[f"exemplars/{column}/{field.name}"] = getattr(exemplars, field.name)
    return columns


def _load(
    table: SeriesTable, families: Sequence[Family], rows: NDArray[np.uint32], columns: Columns
) -> None:
    table.columns(families)
    slots = table.make(np.ascontiguousarray(rows))
    table.life[slots] = columns["life"]
    table.updated_ms[slots] = columns["updated_ms"]
    table.began_ms[slots] = columns["began_ms"]
    for column, values in enumerate(table.values):
        values[slots] = columns[f"values/{column}"]
    for column, cells in table.cells.items():
        prefix = f"cells/{column}/"
        own = {n.removeprefix(prefix): c for n, c in columns.items() if n.startswith(prefix)}
        cells.load(slots, own)
    for column in range(len(families)):
        if f"exemplars/{column}/row" in columns:
            names = [field.name for field in fields(Exemplars)]
            told = Exemplars(*(columns[f"exemplars/{column}/{name}"] for name in names))
            table.exemplars_of(column).add(told.at(slots))
