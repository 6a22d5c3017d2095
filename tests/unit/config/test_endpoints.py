from pathlib import Path

import pytest

from consumer.config import parse_config, routes_of
from consumer.config.load import parse_tenants
from consumer.config.tenants import settings_by_tenant
from consumer.errors import ConfigError
from consumer.remote_write.credentials import OAuth2, TlsSettings
from consumer.remote_write.endpoint import Endpoint
from consumer.remote_write.relabel import Rule
from consumer.remote_write.request import Message
from consumer.remote_write.routes import Routes


def endpoints(entries: str) -> tuple[Endpoint, ...]:
    text = f"metrics_generator: {{storage: {{remote_write: [{entries}]}}}}"
    config = parse_config(text, environ={})
    return tuple(routes_of(config, settings_by_tenant(config)).default)


def test_an_entry_says_how_an_endpoint_is_used() -> None:
    [endpoint] = endpoints(
        "{url: 'http://a:9/x', name: main, remote_timeout: 1500ms, headers: {X-A: b},"
        " queue_config: {max_samples_per_send: 10, min_backoff: 1s, max_backoff: 2s,"
        " retry_on_http_429: false, max_shards: 2, max_pending_bytes: 1048576}}"
    )
    assert endpoint == Endpoint(
        url="http://a:9/x",
        name="main",
        headers={"X-A": "b"},
        timeout_s=1.5,
        max_samples_per_send=10,
        min_backoff_s=1,
        max_backoff_s=2,
        retry_on_429=False,
        max_shards=2,
        max_pending_bytes=1 << 20,
    )


def test_the_defaults_are_those_of_an_endpoint() -> None:
    assert endpoints("{url: 'http://a:9/x'}") == (Endpoint(url="http://a:9/x", name="a:9"),)


def test_each_endpoint_has_a_name_of_its_own() -> None:
    made = endpoints("{url: 'http://a/x'}, {url: 'http://a/y'}, {url: 'http://b/y', name: c}")
    assert [endpoint.name for endpoint in made] == ["a", "a#2", "c"]


def test_a_made_up_name_avoids_the_given_ones() -> None:
    made = endpoints("{url: 'http://a/x'}, {url: 'http://c/y', name: a}, {url: 'http://a/z'}")
    names = [endpoint.name for endpoint in made]
    assert len(set(names)) == 3


def test_secrets_come_from_files_without_white_space(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hunter2\n")
    login, bearer, token, other = endpoints(
        f"{{url: 'http://a/x', basic_auth: {{username: u, password_file: {file}}}}},"
        f"{{url: 'http://b/x', bearer_token_file: {file}}},"
        f"{{url: 'http://c/x', authorization: {{credentials_file: {file}}}}},"
        f"{{url: 'http://d/x', authorization: {{type: Token, credentials_file: {file}}}}}"
    )
    assert (login.user, login.password) == ("u", "hunter2")
    assert bearer.bearer_token == token.bearer_token == "hunter2"  # noqa: S105  the test's own
    assert other.headers == {"Authorization": "Token hunter2"}


def test_every_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    with pytest.raises(ConfigError) as caught:
        endpoints(
            f"{{url: 'http://a/x', bearer_token_file: {absent}}},"
            f"{{url: 'http://b/x', basic_auth: {{username: u, password_file: {absent}}}}}"
        )
    path = "metrics_generator.storage.remote_write"
    assert [str(problem) for problem in caught.value.problems] == [
        f"{path}[0].bearer_token_file: cannot read {absent}: No such file or directory",
        f"{path}[1].basic_auth.password_file: cannot read {absent}: No such file or directory",
    ]


def test_rules_protocol_proxy_and_tls_are_handed_on() -> None:
    [endpoint] = endpoints(
        "{url: 'https://a:9/x', protobuf_message: io.prometheus.write.v2.Request,"
        " write_relabel_configs: [{action: drop, source_labels: [a, b], regex: 'x.*'}],"
        " proxy_url: 'http://p:1', tls_config: {server_name: b}, legacy_created_timestamp: true,"
        " queue_config: {sample_age_limit: 2m}}"
    )
    assert endpoint.message is Message.V2
    assert endpoint.legacy_created_timestamp
    assert endpoint.relabel == (Rule(action="drop", source_labels=("a", "b"), regex="x.*"),)
    assert endpoint.proxy_url == "http://p:1"
    assert endpoint.tls == TlsSettings(server_name="b")
    assert endpoint.sample_age_limit_s == 120


def test_client_credentials_are_handed_on(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hunter2\n")
    [endpoint] = endpoints(
        "{url: 'http://a/x', oauth2: {client_id: us, token_url: 'http://t/x', scopes: [w],"
        f" client_secret_file: {file}}}}}"
    )
    assert endpoint.oauth2 == OAuth2("us", "http://t/x", None, str(file), ("w",), {})


def test_tls_files_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError) as caught:
        endpoints(f"{{url: 'https://a/x', tls_config: {{ca_file: {tmp_path / 'ca.pem'}}}}}")
    assert "remote_write[0].tls_config: cannot use these files" in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ("write_relabel_configs: [{regex: '('}]", "write_relabel_configs[0].regex"),
        ("write_relabel_configs: [{regex: a}]", "write_relabel_configs[0].target_label"),
        (
            "write_relabel_configs: [{action: hashmod, target_label: a}]",
            "write_relabel_configs[0].modulus",
        ),
        ("proxy_url: 'socks5://p'", "proxy_url"),
        ("tls_config: {key_file: a}", "tls_config.key_file"),
        ("bearer_token: a, oauth2: {client_id: a, client_secret: b, token_url: 'http://t'}", "oa"),
    ],
)
def test_what_cannot_work_is_refused_with_its_path(entry: str, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        endpoints(f"{{url: 'http://a/x', {entry}}}")
    assert f"remote_write[0].{path}" in str(caught.value)


def routes(static: str, tenants: str) -> Routes:
    config = parse_config(
        f"metrics_generator: {{storage: {{remote_write: [{static}]}}}}", environ={}
    )
    return routes_of(config, parse_tenants(config, f"overrides: {{{tenants}}}", environ={}))


def own(name: str, entries: str) -> str:
    return f"{name}: {{metrics_generator: {{remote_write: [{entries}]}}}}"


def test_a_tenant_may_have_endpoints_of_its_own_in_place_of_the_others() -> None:
    made = routes(
        "{url: 'http://a/x', name: main}",
        own("acme", "{url: 'http://b/x'}, {url: 'http://c/x', name: main}")
        + ", "
        + own("beta", ""),
    )
    assert made.names("other") == ["main"]
    assert made.names("acme") == ["acme/b", "acme/main"]
    assert made.names("beta") == []


def test_a_tenant_with_the_endpoints_of_all_shares_them() -> None:
    made = routes("{url: 'http://a/x'}", own("acme", "{url: 'http://a/x'}"))
    assert made.names("acme") == ["a"]
    assert list(made.endpoints()) == ["a"]


def test_endpoints_said_of_any_tenant_go_before_the_static_ones() -> None:
    made = routes("{url: 'http://a/x'}", own("'*'", "{url: 'http://b/x'}"))
    assert made.names("acme") == ["b"]


def test_names_of_different_tenants_never_meet() -> None:
    one, other = (
        own("a", "{url: 'http://h/x', name: b/c}"),
        own("a/b", "{url: 'http://h', name: c}"),
    )
    made = routes("{url: 'http://a/x'}", f"{one}, {other}")
    assert made.names("a") != made.names("a/b")


def test_headers_of_a_tenant_replace_those_of_the_defaults() -> None:
    made = routes(
        "{url: 'http://a/x'}",
        "'*': {metrics_generator: {remote_write_headers: {X-A: a}}},"
        "acme: {metrics_generator: {remote_write_headers: {X-B: b, Authorization: c}}},"
        "beta: {metrics_generator: {max_active_series: 1}}",
    )
    assert made.headers.of("acme") == {"X-B": "b", "Authorization": "c"}
    assert made.headers.of("beta") == made.headers.of("other") == {"X-A": "a"}
    assert "X-B" not in repr(made)


def test_a_tenants_file_that_cannot_be_read_is_told_at_its_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        routes(
            "{url: 'http://a/x'}",
            own("acme", f"{{url: 'http://b/x', bearer_token_file: {tmp_path / 'absent'}}}"),
        )
    path = "overrides.acme.metrics_generator.remote_write[0].bearer_token_file: cannot read"
    assert path in str(caught.value)


@pytest.mark.parametrize("name", ["Content-Type", "host", "X-Prometheus-Remote-Write-Version"])
def test_a_tenants_headers_leave_the_protocol_alone(name: str) -> None:
    with pytest.raises(ConfigError, match="this header cannot be set"):
        routes("", f"acme: {{metrics_generator: {{remote_write_headers: {{{name}: hush}}}}}}")
