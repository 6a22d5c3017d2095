"""The blocks that are spanmill's own: ``kafka`` and ``server``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SecretStr

from consumer.config.checks import Block, duration
from consumer.config.environment import host_name
from processors.settings import DurationMs, Finding, refuse

Encoding = Literal["otlp_proto", "otlp_json", "tempo"]
ENCODINGS: tuple[str, ...] = get_args(Encoding)

OWN_CLIENT_KEYS = {
    "bootstrap.servers": "kafka.bootstrap_servers",
    "metadata.broker.list": "kafka.bootstrap_servers",
    "group.id": "kafka.group_id",
    "group.instance.id": "kafka.group_instance_id",
    "auto.offset.reset": "kafka.auto_offset_reset",
    "enable.auto.commit": "",
    "auto.commit.enable": "",
    "auto.commit.interval.ms": "",
    "enable.auto.offset.store": "",
    "enable.partition.eof": "",
    "transactional.id": "",
}
"""librdkafka properties that are set by spanmill, and the key that sets them, if any."""

_SECRET_WORDS = (
    *("password", "passphrase", "secret", "token", "credential"),
    *("jaas", "oauthbearer.config", "assertion", ".pem"),
)


def _property_text(value: object) -> object:
    """Numbers and booleans as librdkafka reads them; it takes text only."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _check_client(client: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    findings: list[Finding] = []
    for key in client:
        instead = OWN_CLIENT_KEYS.get(key)
        if instead:
            findings.append(((key,), f"spanmill sets this property itself; use {instead}"))
        elif instead is not None:
            text = "spanmill sets this property itself, since offsets follow delivery; leave it out"
            findings.append(((key,), text))
    refuse(findings)
    return client


def _shown_client(client: Mapping[str, SecretStr]) -> dict[str, str]:
    return {
        key: str(value) if any(word in key for word in _SECRET_WORDS) else value.get_secret_value()
        for key, value in client.items()
    }


ClientValue = Annotated[SecretStr, BeforeValidator(_property_text)]
NotEmpty = Annotated[str, Field(min_length=1)]


class KafkaConfig(Block):
    """Where the spans come from."""

    bootstrap_servers: NotEmpty = "localhost:9092"
    """Brokers to begin with, `host:port`, separated by commas."""
    topic: NotEmpty = "otlp_spans"
    """The topic that holds the spans."""
    group_id: NotEmpty = "spanmill"
    """The consumer group; workers of one group share the partitions."""
    group_instance_id: str = Field(
        default_factory=host_name, json_schema_extra={"default_text": "the host name"}
    )
    """Static member id, so that a restart moves no partitions; empty: a dynamic member."""
    encoding: Encoding = "otlp_proto"
    """What a record's value holds: `otlp_proto` and `otlp_json` are OTLP messages, `tempo` is
    what Tempo's distributor writes. If not given, `metrics_generator.codec` decides."""
    tenant_header: NotEmpty = "X-Scope-OrgID"
    """The record header that names the tenant; upper and lower case are the same."""
    default_tenant: NotEmpty = "single-tenant"
    """The tenant of records without that header. `single-tenant` is written without
    `X-Scope-OrgID`."""
    dead_letter_topic: str = ""
    """Records that cannot be decoded go here; empty: they are only counted."""
    create_topics: bool = False
    """Whether a worker creates the topics it needs and does not find, as `spanmill topics` does.
    Otherwise one with `processing_guarantee: exactly_once` refuses to start without them."""
    replication_factor: Annotated[int, Field(ge=-1, le=32_767)] = -1
    """Replicas of the topics that spanmill creates; -1: as many as the brokers are set to."""
    auto_offset_reset: Literal["earliest", "latest", "error"] = "earliest"
    """Where to begin without a committed offset, or when it is out of range."""
    max_batch_records: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Most records that are decoded and processed at once."""
    max_batch_bytes: Annotated[int, Field(ge=1_024, le=1 << 30)] = 16 << 20
    """Most bytes of records that are decoded and processed at once."""
    poll_timeout: Annotated[DurationMs, duration("1ms", "10s")] = 500
    """Longest wait for records, and so for anything else the loop does."""
    client: Annotated[
        Mapping[str, ClientValue], AfterValidator(_check_client), PlainSerializer(_shown_client)
    ] = Field(default_factory=dict)
    """Any property of librdkafka, such as `security.protocol`. Those that spanmill sets itself
    are refused."""

    def client_properties(self) -> dict[str, str]:
        """:attr:`client` as librdkafka takes it, with the secrets in it."""
        return {name: value.get_secret_value() for name, value in self.client.items()}

    def connection(self) -> dict[str, str]:
        """What any client needs to reach the brokers: their address and :attr:`client`."""
        return {**self.client_properties(), "bootstrap.servers": self.bootstrap_servers}


class ServerConfig(Block):
    """The HTTP server for metrics and probes, the log, and the way to stop."""

    host: NotEmpty = "0.0.0.0"  # noqa: S104  probes and scrapes come from outside
    """The address to listen on."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """The port of `/metrics`, `/ready`, `/healthz` and `/status`; 0 takes a free one."""
    log_level: Literal["debug", "info", "warn", "error"] = "info"
    """The least level that is logged."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """`auto` is text on a terminal, JSON lines elsewhere."""
    shutdown_timeout: Annotated[DurationMs, duration("1s", "1h")] = 30_000
    """Longest time for the last tick, its delivery and the commit after SIGTERM."""
    end_series_at_shutdown: bool = False
    """Write a stale marker to every series after the last tick, so that they end at once and not
    after five minutes. For workers that do not come back under their name; with `exactly_once` it
    has no effect, since another worker goes on with the series."""
