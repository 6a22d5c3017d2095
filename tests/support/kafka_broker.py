"""A real Apache Kafka for the tests: one KRaft node on loopback, run from Maven's jars.

:class:`KafkaCluster` is any cluster one may write to; :class:`KafkaBroker` is one that
the tests started themselves and may therefore stop, kill and restart on the same port
and data. Bounds: 512 MB of heap, a deadline on every wait. Run as a program, this module
fetches the jars.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.support.processes import POLL_S, ChildProcess, free_port, wait_until

POM = Path(__file__).parents[1] / "kafka" / "pom.xml"
JARS = POM.parent / "target" / "jars"
COMPLETE = JARS / ".complete"
MAVEN_TIMEOUT_S = 600
START_TIMEOUT_S = 60.0
CALL_TIMEOUT_S = 10.0
NOT_YET = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
JAVA_OPTIONS = ("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
# One partition and one replica of each internal topic make a start take two seconds.
# After a kill the broker is let in again only when its session has run out: 4 s.
# Retention and the bound on future timestamps are off: tests bring times of their own.
BROKER_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "500",
    "log.retention.ms": "-1",
    "log.message.timestamp.after.max.ms": str(2**63 - 1),
    "log.cleaner.dedupe.buffer.size": "16777216",
    "num.network.threads": "2",
    "num.io.threads": "4",
}
LOG4J = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d] %p %m (%c)%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


class KafkaUnavailableError(Exception):
    """This machine cannot run a broker; the text says why."""


class KafkaCluster:
    """What tests do with any cluster: make topics, read them back, look at offsets."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def admin(self) -> AdminClient:
        """Make a client for everything that the methods here do not cover."""
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": "0"})

    def create_topic(
        self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None
    ) -> str:
        """Make a topic and wait until each of its partitions has a leader; its name."""
        admin = self.admin()
        topic = NewTopic(name, partitions, 1, config=dict(config or {}))
        admin.create_topics([topic])[name].result(CALL_TIMEOUT_S)

        def led() -> bool:
            found = admin.list_topics(name, timeout=CALL_TIMEOUT_S).topics[name].partitions
            return len(found) == partitions and all(p.leader >= 0 for p in found.values())

        wait_until(led, f"leaders of {name}")
        return name

    def new_topic(
        self, prefix: str, partitions: int = 1, config: Mapping[str, str] | None = None
    ) -> str:
        """Make a topic with a name that no other test has; its name."""
        return self.create_topic(f"{prefix}-{uuid4().hex[:8]}", partitions, config)

    def read(self, topic: str, count: int, timeout_s: float = 20.0) -> list[Message]:
        """Read ``count`` committed records from the start of ``topic``, in partition order each.

        Fewer, if no more have come within ``timeout_s``.
        """
        records: list[Message] = []
        deadline = time.monotonic() + timeout_s
        consumer = self._reader()
        try:
            partitions = consumer.list_topics(topic, timeout=CALL_TIMEOUT_S).topics[topic]
            consumer.assign(
                [TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions.partitions]
            )
            while len(records) < count and time.monotonic() < deadline:
                record = consumer.poll(0.2)
                if record is not None and record.error() is None:
                    records.append(record)
        finally:
            consumer.close()
        return records

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Return the next offset that each partition of ``topic`` will give, by partition."""
        consumer = self._reader()
        try:
            partitions = consumer.list_topics(topic, timeout=CALL_TIMEOUT_S).topics[topic]
            return {
                number: consumer.get_watermark_offsets(
                    TopicPartition(topic, number), timeout=CALL_TIMEOUT_S
                )[1]
                for number in partitions.partitions
            }
        finally:
            consumer.close()

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the committed offsets of ``group``, by partition; -1001 where there is none."""
        consumer = self._reader(group)
        try:
            partitions = consumer.list_topics(topic, timeout=CALL_TIMEOUT_S).topics[topic]
            asked = [TopicPartition(topic, number) for number in partitions.partitions]
            return {each.partition: each.offset for each in _ask_committed(consumer, asked)}
        finally:
            consumer.close()

    def _reader(self, group: str = "tests-read-without-committing") -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": group,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "log_level": "0",
            }
        )


def _ask_committed(consumer: Consumer, asked: list[TopicPartition]) -> list[TopicPartition]:
    """Ask again while a broker that has just started takes up its groups."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            return consumer.committed(asked, timeout=CALL_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() not in NOT_YET or time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)


class KafkaBroker(KafkaCluster):
    """A broker of our own. Its port and data outlive :meth:`stop`, :meth:`kill` and restarts.

    ``folder`` holds its data and its log; ``properties`` are added to, or replace, the
    broker's usual ones.
    """

    def __init__(self, folder: Path, properties: Mapping[str, str] | None = None) -> None:
        java, jars = _java(), fetch_jars()
        port, controller_port = free_port(), free_port()
        super().__init__(f"127.0.0.1:{port}")
        listeners = f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}"
        self._properties = {
            **BROKER_PROPERTIES,
            "listeners": listeners,
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "log.dirs": str(folder / "data"),
            **(properties or {}),
        }
        self._folder = folder
        self._config = folder / "server.properties"
        log4j = folder / "log4j2.properties"
        options = (*JAVA_OPTIONS, f"-Dlog4j2.configurationFile={log4j}")
        self._java = (java, *options, "-cp", f"{jars}/*")
        log4j.write_text(LOG4J)
        self.process = ChildProcess(
            [*self._java, "kafka.Kafka", str(self._config)], folder / "broker.log"
        )

    def start(self) -> None:
        """Start the broker and wait until it serves."""
        first = not self.process.log.exists()
        self.prepare()
        self.process.start()
        self.process.wait_ready(self._serves, START_TIMEOUT_S)
        if first:
            self._make_internal_topics()

    def stop(self) -> None:
        """End the broker in good order and wait for it."""
        self.process.stop()

    def kill(self) -> None:
        """``kill -9`` the broker and reap it."""
        self.process.kill()

    def restart(self) -> None:
        """Stop the broker, if it runs, and start it on the same port and data."""
        self.stop()
        self.start()

    def prepare(self) -> None:
        """Format the storage, once; ``KafkaUnavailableError`` where this Java cannot."""
        if self._config.exists():
            return
        self._config.write_text("".join(f"{k}={v}\n" for k, v in self._properties.items()))
        format_storage = [*self._java, "kafka.tools.StorageTool", "format"]
        tool = ChildProcess(
            [*format_storage, "-t", CLUSTER_ID, "-c", str(self._config)],
            self._folder / "format.log",
        )
        with tool:
            tool.start()
            if tool.wait(START_TIMEOUT_S) != 0:
                raise KafkaUnavailableError(f"storage not formatted: {tool.describe()}")

    def _make_internal_topics(self) -> None:
        """Have the broker make them now: a first use costs seconds.

        A broker that is killed in the moment it makes one may come back without it.
        """
        topic = self.new_topic("first-use")
        self.committed("first-use", topic)
        settings = {"bootstrap.servers": self.bootstrap, "log_level": "0"}
        Producer({**settings, "transactional.id": "first-use"}).init_transactions(START_TIMEOUT_S)

    def _serves(self) -> bool:
        """Tell whether the broker is let in and leads every partition that it has."""
        try:
            found = self.admin().list_topics(timeout=1.0)
        except KafkaException:
            return False
        partitions = [p for topic in found.topics.values() for p in topic.partitions.values()]
        return bool(found.brokers) and all(p.leader >= 0 for p in partitions)


def fetch_jars() -> Path:
    """Return the folder with the broker's jars, fetched by Maven if they are not there yet.

    Raises ``KafkaUnavailableError`` without Maven, or when it cannot get them.
    """
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()
    if COMPLETE.exists() and COMPLETE.read_text() == digest:
        return JARS
    if shutil.which("mvn") is None:
        raise KafkaUnavailableError("Maven is not installed (mvn)")
    shutil.rmtree(JARS, ignore_errors=True)
    command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
    try:
        maven = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=MAVEN_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise KafkaUnavailableError(f"Maven took more than {MAVEN_TIMEOUT_S} s") from None
    if maven.returncode != 0:
        raise KafkaUnavailableError(f"Maven could not fetch the jars: {maven.stdout[-500:]}")
    COMPLETE.write_text(digest)
    return JARS


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        raise KafkaUnavailableError("Java is not installed (java, 17 or newer)")
    return java


def main() -> None:
    """Fetch the jars ahead of the tests, or say in one line why that cannot be."""
    try:
        fetch_jars()
    except KafkaUnavailableError as error:
        reason = str(error).splitlines()[0]
        sys.stderr.write(f"warning: no Kafka broker for the tests ({reason})\n")


if __name__ == "__main__":
    main()
