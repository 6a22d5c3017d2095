"""Runs the listener as a program: until SIGINT or SIGTERM."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from consumer.config.model import Config
from consumer.distributor.app import Target, make_app
from consumer.distributor.listener import HttpListener
from consumer.distributor.publisher import RECORD_TIMEOUT_MS, Publisher
from consumer.kafka import RecordWriter
from consumer.logs import start_logging

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
    start_logging(config.server.log_level, config.server.log_format)
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


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGINT, SIGTERM or SIGHUP sets. For the main thread only."""
    stopped = threading.Event()
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {name: signal.signal(name, lambda *_: stopped.set()) for name in names}
    try:
        yield stopped
    finally:
        for name, action in before.items():
            signal.signal(name, action)
