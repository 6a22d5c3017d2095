"""`make bench | python -m benchmarks.table`: the table of docs/performance.md."""

from __future__ import annotations

import sys
from typing import Any

import orjson

from benchmarks.measure import DECODE, PARSE_ONLY, PARSE_ONLY_WARM, PIPELINE, STEADY

HEAD = (
    *("workload", "stage", "decoder", "spans a batch", "spans/s (min to max)"),
    *("ratio (min to max)", "ratio to warm", "`parse_only` fresh, warm", "peak RSS, MiB"),
)

PARSERS = (PARSE_ONLY, PARSE_ONLY_WARM)


def main() -> None:
    print("| " + " | ".join(HEAD) + " |")
    print("|" + "---|" * len(HEAD))
    for line in map(orjson.loads, sys.stdin):
        if line["stage"] in {DECODE, PIPELINE, STEADY}:
            print("| " + " | ".join(_cells(line)) + " |")


def _cells(line: dict[str, Any]) -> list[str]:
    workload = f"`{line['workload']}`"
    if line["options"] != "default":
        workload += f", {line['options']}"
    low, high = line["spread"]
    ratio_low, ratio_high = line["ratio_spread"]
    return [
        workload,
        line["stage"],
        line["decoder"],
        f"{line['batch_spans']:,}",
        f"**{_thousands(line['spans_per_second'])}** ({_thousands(low)} to {_thousands(high)})",
        f"**{line['ratio']:.2f}** ({ratio_low:.2f} to {ratio_high:.2f})",
        f"{line['ratio_warm']:.2f}",
        ", ".join(_thousands(line[f"{each}_spans_per_second"]) for each in PARSERS),
        f"{line['peak_rss_bytes'] / 2**20:,.0f}",
    ]


def _thousands(number: int) -> str:
    return f"{round(number, -3):,}"


if __name__ == "__main__":
    main()
