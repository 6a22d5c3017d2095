"""Reads files, and forecasts the series of the tenant that they are of."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from consumer.config.environment import environment
from consumer.config.load import load_tenants
from consumer.config.model import Config
from consumer.config.tenants import SettingsByTenant
from consumer.decode import Decoder, Encoding, open_decoder
from consumer.files.otlp_files import read_records
from consumer.files.rehearsal import Rehearsal
from consumer.forecast.answers import DimensionCost, Forecast, LimitsForecast
from consumer.forecast.estimate import (
    Estimator,
    series_in,
    series_with_one_value,
    tables_in,
    values_by_label,
)
from consumer.forecast.keys import attribute_keys
from consumer.forecast.replay import Part, Recording, Replay
from consumer.forecast.tables import write_json, write_tables
from consumer.registry import Registry, TenantLimits
from processors.batch import Projection
from processors.span_metrics import SpanMetrics

MAX_ATTRIBUTES = 200
"""Attributes that are tried as dimensions, those of most spans first; each costs a replay."""


def forecast(config: Config, inputs: Sequence[Path], tenants: SettingsByTenant) -> Forecast:
    """Count the series of the default tenant, under its configuration and under others.

    Raises :class:`consumer.errors.InputError` for a file that cannot be used.
    """
    keys = _keys(config, inputs)
    tried = [key for key, _ in keys.most_common(MAX_ATTRIBUTES)]
    everything = Projection(resource_keys=tuple(tried), span_keys=tuple(tried))
    parts: list[Part] = []

    def open_with(encoding: Encoding, projection: Projection) -> Decoder:
        return Recording(open_decoder(encoding, projection.union(everything)), parts)

    rehearsal = Rehearsal(config, tenants, open_with=open_with)
    for path in inputs:
        rehearsal.push(path)
    rehearsal.close()
    tenant = config.kafka.default_tenant
    settings = tenants.for_tenant(tenant)
    replay = Replay(config, parts)
    estimator = Estimator(replay, settings)
    registry = estimator.all_series()
    costs = [estimator.cost_of(key) for key in tried if key != "service.name"]
    processing = settings.processing
    can_sanitize = (
        SpanMetrics.name in estimator.processors
        and processing.span_name_sanitization != "enabled"
        and processing.span_metrics.intrinsic_dimensions.span_name
    )
    return Forecast(
        tenant=tenant,
        spans=len(replay),
        series=series_in(registry),
        series_of_first_half=estimator.of_first_half(),
        tables=tables_in(registry),
        limits=_limits(config, settings.limits, registry, series_in(rehearsal.registry)),
        of_processor={name: estimator.of_processor(name) for name in estimator.processors},
        dimensions=sorted((cost for cost in costs if cost.series), key=_greatest, reverse=True),
        attributes_left_out=len(keys) - len(tried),
        series_with_sanitized_names=estimator.with_sanitized_names() if can_sanitize else None,
        series_with_native_histograms=(
            estimator.with_native_histograms() if processing.histograms.classic else None
        ),
    )


def _limits(config: Config, limits: TenantLimits, registry: Registry, kept: int) -> LimitsForecast:
    """What ``limits`` do about all that is in ``registry``."""
    maximum = limits.max_cardinality_per_label
    values = values_by_label(registry) if maximum else {}
    too_many = {name: number for name, number in values.items() if number > maximum}
    return LimitsForecast(
        limiter=config.metrics_generator.limiter_type,
        limits=limits,
        kept=kept,
        too_many=too_many,
        with_one_value=series_with_one_value(registry, too_many),
    )


def _greatest(cost: DimensionCost) -> tuple[int, str]:
    return sum(cost.series.values()), cost.attribute


def _keys(config: Config, inputs: Sequence[Path]) -> Counter[str]:
    keys: Counter[str] = Counter()
    for path in inputs:
        is_json, values = read_records(path)
        encoding = Encoding.OTLP_JSON if is_json else Encoding(config.kafka.encoding)
        keys += attribute_keys(values, encoding)
    return keys


def run_forecast(
    config: Config,
    inputs: Sequence[Path],
    *,
    as_json: bool = False,
    top: int = 15,
    output: TextIO = sys.stdout,
) -> None:
    """Write the forecast: tables with the ``top`` attributes, or all of it as one JSON object."""
    answers = forecast(config, inputs, load_tenants(config, environ=environment()))
    if as_json:
        write_json(answers, output)
    else:
        write_tables(answers, top, output)
