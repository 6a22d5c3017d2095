"""What explain says, added up so that it can be compared with what a preview prints."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from consumer.explain import Explanation
from consumer.explain.findings import SeriesSet
from consumer.pipeline import ALL_PROCESSORS

PROCESSORS = ("span-metrics", "service-graphs", "host-info")
SERIES_OF_HISTOGRAM = re.compile(r"_(bucket|count|sum)$")
FamilySet: TypeAlias = tuple[str, frozenset[tuple[str, str]]]


def ends(found: Explanation) -> Counter[tuple[str, str]]:
    """(processor, ``used`` or the reason) -> spans."""
    counts = Counter[tuple[str, str]]()
    for span in found.spans:
        for processor, finding in found.findings.of(span.number).items():
            if finding.is_used is not None:
                counts[processor, "used" if finding.is_used else finding.reason] += 1
            assert processor in {*PROCESSORS, ALL_PROCESSORS}
    return counts


def named(found: Explanation) -> Iterator[FamilySet]:
    """(family, labels) of everything that a span or an edge counted in."""
    sets: list[SeriesSet | None] = [edge.series for edge in found.findings.edges]
    for span in found.spans:
        for finding in found.findings.of(span.number).values():
            sets += finding.series
    for each in sets:
        assert each is not None
        for metric in each.metrics:
            yield metric, frozenset(each.labels.items())


def total(series: Iterable[Mapping[str, Any]], name: str) -> float:
    """The sum over all series of a name."""
    return float(sum(one["value"] for one in series if one["name"] == name))


def families_of(series: Iterable[Mapping[str, Any]]) -> set[FamilySet]:
    """(family, labels) of series as a preview prints them, but for those of overflow."""
    return {
        (SERIES_OF_HISTOGRAM.sub("", one["name"]), frozenset(one["labels"].items() - _le(one)))
        for one in series
        if "metric_overflow" not in one["labels"]
    }


def _le(one: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {("le", one["labels"]["le"])} if "le" in one["labels"] else set()
