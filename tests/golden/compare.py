"""Compare two files of series, as `spanmill preview` prints them; the second may be gzipped.

    python -m tests.golden.compare OURS THEIRS

Prints JSON: how many series each has, has alone (by connection type), and how many differ.
Ends with 1 if a series of both differs: sums by more than 1e-9, anything else at all.
"""

from __future__ import annotations

import gzip
import sys
from collections import Counter
from pathlib import Path

import orjson

from tests.golden.test_golden import Series, differences, series


def read(path: Path) -> Series:
    """The series in a file."""
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return series(text.splitlines())


def connection_types(alone: Series) -> Counter[str]:
    """Series by their label ``connection_type``."""
    return Counter(dict(labels).get("connection_type", "") for _, labels in alone)


def main(arguments: list[str]) -> int:
    """Compare the two files; the exit code."""
    ours, theirs = (read(Path(name)) for name in arguments)
    both = ours.keys() & theirs.keys()
    differing = list(differences(ours, {key: theirs[key] for key in both}))
    report = {
        "ours": len(ours),
        "theirs": len(theirs),
        "only_ours": connection_types({key: ours[key] for key in ours.keys() - both}),
        "only_theirs": connection_types({key: theirs[key] for key in theirs.keys() - both}),
        "differing": len(differing),
    }
    sys.stdout.write(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
