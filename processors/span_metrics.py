"""Span metrics: request rate, errors, duration and size per operation."""

from __future__ import annotations

from processors.settings import Settings

DEFAULT_BUCKETS = (
    0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384,
)  # fmt: skip
"""Seconds (tempo-behaviour.md 1.6)."""


class IntrinsicDimensions(Settings):
    """Which of the built-in labels are on."""

    service: bool = True
    span_name: bool = True
    span_kind: bool = True
    status_code: bool = True
    status_message: bool = False


class DimensionMapping(Settings):
    """A label joined from several attributes."""

    name: str
    source_labels: tuple[str, ...] = ()
    join: str = ""


class SpanMetricsConfig(Settings):
    """Tempo's block `metrics_generator.processor.span_metrics`: same keys, same defaults."""

    histogram_buckets: tuple[float, ...] = DEFAULT_BUCKETS
    intrinsic_dimensions: IntrinsicDimensions = IntrinsicDimensions()
    dimensions: tuple[str, ...] = ()
    dimension_mappings: tuple[DimensionMapping, ...] = ()
    enable_target_info: bool = False
    target_info_excluded_dimensions: tuple[str, ...] = ()
    enable_instance_label: bool = True
