"""Runs the listener as a program: until SIGINT or SIGTERM."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing

from consumer.config.model import Config
from consumer.distributor.app import Target, make_app
from consumer.distributor.publisher import RECORD_TIMEOUT_MS, Publisher
from consumer.http_listener import HttpListener
from consumer.kafka.client import RecordWriter
from consumer.signals import stop_signals

DEFAULT_PORT = 4318
"""OTLP/HTTP's registered port."""

PARTITIONER = "fnv1a"
"""The Collector's hash of keys: with another one, its records of a trace and ours would
fall to different partitions, and so to different workers."""

_log = logging.getLogger(__name__)


def writer_properties(bootstrap_servers: str, client: Mapping[str, str]) -> dict[str, str]:
    """Properties of a writer whose every record is answered within a flush."""
    return {
        "message.timeout.ms": str(RECORD_TIMEOUT_MS),
        "partitioner": PARTITIONER,
        **client,
        "bootstrap.servers": bootstrap_servers,
    }


def run_distributor(config: Config, *, port: int = DEFAULT_PORT) -> int:
    """Listen on ``server.host`` until a signal ends it; the exit code, 1 when the port is taken."""
    kafka = config.kafka
    client = {name: value.get_secret_value() for name, value in kafka.client.items()}
    target = Target(kafka.topic, kafka.tenant_header)
    writer = RecordWriter(writer_properties(kafka.bootstrap_servers, client))
    with closing(Publisher(writer)) as publisher:
        try:
            listener = HttpListener(make_app(publisher, target), host=config.server.host, port=port)
        except OSError as error:
            _log.error("cannot listen on %s:%d: %s", config.server.host, port, error)
            return 1
        with stop_signals() as stopped, listener:
            _log.info("OTLP/HTTP on %s/v1/traces, to topic %s", listener.address, target.topic)
            stopped.wait()
    return 0
