"""Why a span did not count, in words: a sentence for each reason of our processors."""

from __future__ import annotations

from consumer.config.tenants import Processing
from consumer.pipeline import OUTSIDE_SLACK, SKIPPED
from processors.settings import format_duration

_BY_KIND = ("unpaired", "store_full", "forgotten")
"""Reasons that end with the kind of the span."""

_WORDS = {
    SKIPPED: "its sender asked for no metrics of its record",
    OUTSIDE_SLACK: (
        "it ended further from its record's timestamp than metrics_ingestion_time_range_slack"
    ),
    "span_metrics_filtered": "filter_policies of span metrics leave it out",
    "no_host_identifier": "its resource has none of host_identifiers ({identifiers}) as text",
    "invalid_utf8": "a label that it would give is not UTF-8",
    "span_kind": "only client, producer, server and consumer spans are halves of an edge",
    "no_service_name": "its resource has no service.name, or an empty one, so it has no node",
    "service_graphs_filtered": "filter_policies of service graphs leave it out",
    "filter_marker_overflow": (
        "filter_policies of service graphs leave it out, and there was no room "
        "(max_items: {max_items}) to remember that for its counterpart"
    ),
    "counterpart_filtered": (
        "the span that it would pair with is left out by filter_policies, so that it does not "
        "wait for it"
    ),
    "unpaired": "nothing paired with it within {wait}, and nothing names the other side",
    "store_full": (
        "more than max_items ({max_items}) halves waited, and it was the oldest of them"
    ),
    "forgotten": "its partition went to another worker, which reads it again",
    "database_server": (
        "it is of a database that a client span calls, and that span makes the edge"
    ),
    "repeated": "the same span came before; service graphs count it once",
}

WAITS = "it waits for the other half of its edge"


def stem_of(reason: str) -> str:
    """``unpaired_server`` -> ``unpaired``; most reasons are their own stem."""
    return next((stem for stem in _BY_KIND if reason.startswith(f"{stem}_")), reason)


def words_for(reason: str, processing: Processing) -> str:
    """What ``reason`` means for a tenant with these settings; empty for one without words."""
    graphs = processing.service_graphs
    return _WORDS.get(stem_of(reason), "").format(
        identifiers=", ".join(processing.host_info.host_identifiers),
        max_items=graphs.max_items,
        wait=format_duration(graphs.wait),
    )
