"""Service graphs: who calls whom, out of the client and server halves of edges.

``processor`` is where to begin. ``half_rows`` reads halves out of spans, ``pairing`` lets
them meet in record time, ``edges`` makes edges of pairs, and ``frames`` deltas of edges.
"""

from processors.service_graphs.edge_store import EdgeStore
from processors.service_graphs.processor import ServiceGraphs
from processors.service_graphs.settings import CONNECTION_INFO, PARTS, ServiceGraphsConfig
from processors.service_graphs.witness import UNWATCHED, Witness

__all__ = [
    "CONNECTION_INFO",
    "PARTS",
    "UNWATCHED",
    "EdgeStore",
    "ServiceGraphs",
    "ServiceGraphsConfig",
    "Witness",
]
