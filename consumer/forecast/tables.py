"""A forecast as tables for people, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import orjson

from consumer.forecast.answers import (
    DimensionCost,
    FamilyCount,
    Forecast,
    LimitsForecast,
    TableCount,
)
from consumer.text_table import Cells, aligned
from processors.delta import Instrument

SETTLED = 0.95
"""Of the series in the first half of the input: more of the same adds few."""

_LABELS_SHOWN = 10


def write_json(answers: Forecast, output: TextIO) -> None:
    """All of it as one JSON object."""
    output.write(orjson.dumps(_document(answers), option=orjson.OPT_INDENT_2).decode() + "\n")


def write_tables(answers: Forecast, top: int, output: TextIO) -> None:
    """Tables, with the ``top`` attributes alone."""
    output.writelines(f"{line}\n" for line in _told(answers, top))


def _told(answers: Forecast, top: int) -> Iterator[str]:
    yield f"tenant {answers.tenant}: {answers.series} series of {answers.spans} spans"
    yield f"  {_growth(answers)}"
    yield ""
    yield from _metrics(answers.tables)
    for table in answers.tables:
        if table.labels:
            yield ""
            yield from _labels(table)
    yield ""
    yield from _dimensions(answers, top)
    yield ""
    for setting, series in (
        ("span_name_sanitization: enabled", answers.series_with_sanitized_names),
        ("generate_native_histograms: native", answers.series_with_native_histograms),
    ):
        if series is not None:
            yield f"with {setting} there would be {series} series instead of {answers.series}"
    yield from _limits(answers.limits, answers.series)


def _growth(answers: Forecast) -> str:
    if not answers.series:
        return "nothing is counted: see what `spanmill explain` says of the same files"
    share = answers.series_of_first_half / answers.series
    told = f"the first half of the spans makes {share:.0%} of them"
    if share >= SETTLED:
        return f"{told}: more of the same input adds few"
    return f"{told}: more input will make more, so take these numbers as too low"


def _metrics(tables: Sequence[TableCount]) -> Iterator[str]:
    families = [family for table in tables for family in table.families]
    rows: list[Cells] = [
        (_named(each), each.label_sets, each.series_each, each.series)
        for each in sorted(families, key=lambda family: -family.series)
    ]
    yield from aligned(("metric", "label sets", "series each", "series"), rows)


def _named(family: FamilyCount) -> str:
    is_native = family.instrument == Instrument.NATIVE_HISTOGRAM.value
    return f"{family.name} (native)" if is_native else family.name


def _labels(table: TableCount) -> Iterator[str]:
    names = [family.name for family in table.families]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    yield f"labels of {names[0]}{more}: {table.series} series"
    rows: list[Cells] = [
        (label.name, label.values, label.series_without, _share(label.series_without, table))
        for label in table.labels[:_LABELS_SHOWN]
    ]
    yield from aligned(("label", "values", "series without it", "that is"), rows)


def _share(series: int, table: TableCount) -> str:
    return f"{series / table.series:.0%}" if table.series else ""


def _dimensions(answers: Forecast, top: int) -> Iterator[str]:
    processors = tuple(answers.of_processor)
    shown = answers.dimensions[:top]
    if not shown:
        yield "no attribute of the input could become one more dimension"
        return
    yield "series of a processor with one more dimension"
    now: list[Cells] = [("(none)", "", "", *answers.of_processor.values())]
    rows = [_cost(cost, answers) for cost in shown]
    yield from aligned(("attribute", "on spans", "values", *processors), now + rows)
    left = len(answers.dimensions) - len(shown) + answers.attributes_left_out
    if left:
        yield f"  {left} more attributes, which cost less or are of fewer spans (--top, --json)"


def _cost(cost: DimensionCost, answers: Forecast) -> Cells:
    cells = []
    for name, now in answers.of_processor.items():
        series = cost.series.get(name)
        factor = f" (x{series / now:.1f})" if series is not None and now else ""
        cells.append("has it" if series is None else f"{series}{factor}")
    share = f"{cost.spans / answers.spans:.0%}" if answers.spans else ""
    return (cost.attribute, share, cost.values, *cells)


def _limits(forecast: LimitsForecast, series: int) -> Iterator[str]:
    limits = forecast.limits
    by_entity = forecast.limiter == "entity"
    name = "max_active_entities" if by_entity else "max_active_series"
    number = limits.max_active_entities if by_entity else limits.max_active_series
    if not number:
        yield f"limits: {name} is not set, so nothing is refused"
    else:
        refused = series - forecast.kept
        yield (
            f"limits: {name} {number} keeps {forecast.kept} series; "
            f"{refused} go to the overflow series"
        )
    if limits.max_cardinality_per_label:
        labels = ", ".join(f"{name} ({values})" for name, values in forecast.too_many.items())
        yield (
            f"  max_cardinality_per_label {limits.max_cardinality_per_label}: "
            + (
                f"too many values of {labels}; replaced, there would be "
                f"{forecast.with_one_value} series"
                if labels
                else "no label has more values"
            )
        )


def _document(answers: Forecast) -> dict[str, Any]:
    limits = answers.limits
    return {
        "tenant": answers.tenant,
        "spans": answers.spans,
        "series": answers.series,
        "series_of_first_half": answers.series_of_first_half,
        "tables": [
            {
                "series": table.series,
                "metrics": [
                    {
                        "name": family.name,
                        "instrument": family.instrument,
                        "label_sets": family.label_sets,
                        "series_each": family.series_each,
                        "series": family.series,
                    }
                    for family in table.families
                ],
                "labels": [
                    {
                        "name": label.name,
                        "values": label.values,
                        "series_without": label.series_without,
                    }
                    for label in table.labels
                ],
            }
            for table in answers.tables
        ],
        "series_by_processor": answers.of_processor,
        "dimensions": [
            {
                "attribute": cost.attribute,
                "spans": cost.spans,
                "values": cost.values,
                "series_by_processor": cost.series,
            }
            for cost in answers.dimensions
        ],
        "attributes_left_out": answers.attributes_left_out,
        "series_with_sanitized_names": answers.series_with_sanitized_names,
        "series_with_native_histograms": answers.series_with_native_histograms,
        "limits": {
            "limiter_type": limits.limiter,
            "max_active_series": limits.limits.max_active_series,
            "max_active_entities": limits.limits.max_active_entities,
            "max_cardinality_per_label": limits.limits.max_cardinality_per_label,
            "series_kept": limits.kept,
            "labels_with_too_many_values": limits.too_many,
            "series_with_their_values_replaced": limits.with_one_value,
        },
    }
