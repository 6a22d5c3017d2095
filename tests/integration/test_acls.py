"""A broker that lets nobody do what is not granted: the rights in docs/topics.md are enough.

The tests themselves come in by the plain listener, as a super user; the worker logs in by
SASL as ``spanmill``, which has the rights of the page's table and no others.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from tests.support.kafka_broker import CALL_TIMEOUT_S, KafkaBroker, KafkaUnavailableError
from tests.support.processes import free_port, wait_until
from tests.support.prometheus import Prometheus
from tests.support.span_load import NORTH, Shop
from tests.support.workers import CLIENT, metric, open_stage

PAGE = Path(__file__).parents[2] / "docs" / "topics.md"
ROW = re.compile(r"^\| (?P<resource>[^|]+?) \| (?P<operations>[A-Z][A-Za-z, ]+) \|$", re.MULTILINE)
OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}
JAAS = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_spanmill="secret";'


class SecuredBroker(KafkaBroker):
    """A broker with a second listener, ``secured``, on which nothing goes without a right."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.secured = f"127.0.0.1:{free_port()}"
        for name in ("listeners", "advertised.listeners"):
            self._properties[name] += f",SASL://{self.secured}"
        self._properties["listener.security.protocol.map"] += ",SASL:SASL_PLAINTEXT"
        self._properties |= {
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl.plain.sasl.jaas.config": JAAS,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }

    def grant(self, resource: ResourceType, name: str, *operations: AclOperation) -> None:
        """Let ``spanmill`` do this; a ``name`` that ends in ``*`` is a prefix."""
        pattern = (
            ResourcePatternType.PREFIXED if name.endswith("*") else ResourcePatternType.LITERAL
        )
        rights = [
            AclBinding(
                resource,
                name.removesuffix("*"),
                pattern,
                "User:spanmill",
                "*",
                operation,
                AclPermissionType.ALLOW,
            )
            for operation in operations
        ]
        admin = self.admin()
        for granted in admin.create_acls(rights).values():
            granted.result(CALL_TIMEOUT_S)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    try:
        secured = SecuredBroker(tmp_path_factory.mktemp("secured"))
        secured.prepare()
    except KafkaUnavailableError as error:
        if os.environ.get("CI"):
            pytest.fail(f"needed in CI: {error}")
        pytest.skip(str(error))
    with secured.process:
        secured.start()
        yield secured


def rights_of_the_page() -> dict[str, list[AclOperation]]:
    """What the table of the page grants, by what it calls the resource."""
    section = PAGE.read_text().partition("## What the user of the workers must be allowed")[2]
    table = section.partition("\n\nFor ")[0]
    return {
        row["resource"]: [OPERATIONS[name] for name in row["operations"].split(", ")]
        for row in ROW.finditer(table)
    }


@pytest.mark.parametrize("guarantee", ["at_least_once", "exactly_once"])
def test_a_worker_needs_no_rights_but_those_of_the_page(
    guarantee: str, broker: SecuredBroker, prometheus: Prometheus, tmp_path: Path
) -> None:
    letters = broker.new_topic("letters")
    login = {
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "spanmill",
        "sasl.password": "secret",
    }
    kafka_block = {
        "bootstrap_servers": broker.secured,
        "dead_letter_topic": letters,
        "client": {**CLIENT, **login},
    }
    blocks = {"processing_guarantee": guarantee, "exactly_once": {"shards": 2}}
    with open_stage(
        tmp_path, broker, prometheus.remote_write_url, kafka_block=kafka_block, blocks=blocks
    ) as stage:
        internal = [f"{stage.topic}-spanmill-{name}" for name in ("deltas", "snapshots")]
        if guarantee == "exactly_once":
            settings = {"message.timestamp.type": "LogAppendTime", "retention.bytes": "-1"}
            broker.create_topic(internal[0], 2, {**settings, "retention.ms": "86400000"})
            broker.create_topic(internal[1], 2, {"cleanup.policy": "compact"})
        resources = {
            "topic of the spans": [(ResourceType.TOPIC, stage.topic)],
            "topic of the dead letters": [(ResourceType.TOPIC, letters)],
            "group `kafka.group_id`": [(ResourceType.GROUP, stage.group)],
            "`exactly_once`: topics of the deltas and of the snapshots": [
                (ResourceType.TOPIC, name) for name in internal
            ],
            "`exactly_once`: group `<kafka.group_id>-series`": [
                (ResourceType.GROUP, f"{stage.group}-series")
            ],
            "`exactly_once`: transactional ids that begin with `<kafka.group_id>-`": [
                (ResourceType.TRANSACTIONAL_ID, f"{stage.group}-*")
            ],
        }
        page = rights_of_the_page()
        assert page.keys() == resources.keys()
        for called, granted in resources.items():
            if guarantee == "exactly_once" or not called.startswith("`exactly_once`"):
                for kind, name in granted:
                    broker.grant(kind, name, *page[called])
        (worker,) = stage.start("pod-0")
        producer = Producer({"bootstrap.servers": broker.bootstrap})
        producer.produce(stage.topic, b"no spans at all")
        producer.flush(10)
        Shop(broker.bootstrap, stage.topic).sell((NORTH,), range(20), time.time_ns())
        stage.wait_committed()
        wait_until(lambda: metric(worker, "spanmill_records_dead_lettered_total") == 1, "a letter")
        selector = f'traces_spanmetrics_calls_total{{stage="{stage.topic}"}}'
        wait_until(lambda: bool(prometheus.series(selector)), "series")
        assert worker.stop() == 0, worker.describe()
