"""Tables in plain text, the same on a terminal and in a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

Cells: TypeAlias = Sequence[object]


def aligned(header: Cells, rows: Sequence[Cells], *, left: int = 1) -> Iterator[str]:
    """Lines of columns: the first ``left`` are aligned to the left, the others to the right."""
    texts = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        cells = [
            text.ljust(width) if place < left else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()


def table(head: Sequence[str], rows: Iterable[Cells]) -> str:
    """``head`` and ``rows`` in columns aligned to the left; None is shown as ``-``."""
    shown = [["-" if value is None else value for value in row] for row in rows]
    lines = aligned(head, shown, left=len(head))
    return "".join(f"{line.removeprefix('  ')}\n" for line in lines)
