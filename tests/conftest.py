"""Fixtures for the real parts: a Kafka broker and a Prometheus, once a session.

Where a machine has none, the tests that need it are skipped with the reason; in CI
(the variable ``CI`` set) that is a failure instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn, Protocol

import pytest
from hypothesis import settings

from tests.support.kafka_broker import KafkaBroker, KafkaCluster, KafkaUnavailableError
from tests.support.prometheus import Prometheus, PrometheusUnavailableError

# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


class NewPrometheus(Protocol):
    """Starts a server that ends with the test; the parameters are those of Prometheus."""

    def __call__(
        self, *, features: Sequence[str] = (), out_of_order: str | None = None
    ) -> Prometheus: ...


def _cannot(reason: Exception) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"needed in CI: {reason}")
    pytest.skip(str(reason))


@pytest.fixture(scope="session")
def _session_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    try:
        broker = KafkaBroker(tmp_path_factory.mktemp("kafka"))
        broker.prepare()
    except KafkaUnavailableError as error:
        _cannot(error)
    with broker.process:
        broker.start()
        yield broker


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> KafkaCluster:
    """A real cluster: that of ``SPANMILL_TEST_KAFKA=host:port``, or else a broker of our own."""
    given = os.environ.get("SPANMILL_TEST_KAFKA")
    if given:
        return KafkaCluster(given)
    broker: KafkaBroker = request.getfixturevalue("_session_broker")
    return broker


@pytest.fixture
def kafka_broker(_session_broker: KafkaBroker) -> Iterator[KafkaBroker]:
    """A broker of our own, which the test may stop, kill and restart; up again afterwards."""
    yield _session_broker
    if not _session_broker.process.running:
        _session_broker.start()


@pytest.fixture
def new_prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewPrometheus]:
    """Start servers of the test's own: with feature flags, or one for each tenant."""
    with ExitStack() as servers:

        def start(*, features: Sequence[str] = (), out_of_order: str | None = None) -> Prometheus:
            folder = tmp_path_factory.mktemp("prometheus")
            server = _start_prometheus(folder, features=features, out_of_order=out_of_order)
            servers.enter_context(server.process)
            return server

        yield start


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A real Prometheus with a remote-write receiver, shared by the session's tests."""
    server = _start_prometheus(tmp_path_factory.mktemp("prometheus"))
    with server.process:
        yield server


def _start_prometheus(
    folder: Path, *, features: Sequence[str] = (), out_of_order: str | None = None
) -> Prometheus:
    try:
        server = Prometheus(folder, features=features, out_of_order=out_of_order)
    except PrometheusUnavailableError as error:
        _cannot(error)
    server.start()
    return server
