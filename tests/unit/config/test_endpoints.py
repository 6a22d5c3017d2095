from pathlib import Path

import pytest

from consumer.config import endpoints_of, parse_config
from consumer.errors import ConfigError
from consumer.remote_write.endpoint import Endpoint


def endpoints(entries: str) -> tuple[Endpoint, ...]:
    text = f"metrics_generator: {{storage: {{remote_write: [{entries}]}}}}"
    return endpoints_of(parse_config(text, environ={}).metrics_generator.storage)


def test_an_entry_says_how_an_endpoint_is_used() -> None:
    [endpoint] = endpoints(
        "{url: 'http://a:9/x', name: main, remote_timeout: 1500ms, headers: {X-A: b},"
        " queue_config: {max_samples_per_send: 10, min_backoff: 1s, max_backoff: 2s,"
        " retry_on_http_429: false, max_shards: 2}}"
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
        connections=2,
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
