"""``spanmill distributor``: takes OTLP over HTTP and writes it to Kafka as the Collector does.

One record a trace, keyed by the trace id in lower-case hex, with the tenant as a header:
what the OpenTelemetry Collector's kafka exporter writes with ``partition_traces_by_id``.
Meant for trying things and for tests; in production the OpenTelemetry Collector or
Tempo's distributor plays this part (they batch, retry, authenticate and sample).
"""

from consumer.distributor.app import Target, make_app
from consumer.distributor.publisher import Publisher
from consumer.distributor.serve import (
    DEFAULT_PORT,
    run_distributor,
    writer_properties,
)

__all__ = [
    "DEFAULT_PORT",
    "Publisher",
    "Target",
    "make_app",
    "run_distributor",
    "writer_properties",
]
