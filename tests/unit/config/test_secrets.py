import pytest

from consumer.config import parse_config, routes_of
from consumer.config.shown import as_tree, as_yaml
from consumer.config.tenants import settings_by_tenant
from consumer.errors import ConfigError

SECRETS = """
kafka:
  client:
    security.protocol: SASL_SSL
    sasl.username: reader
    sasl.password: hunter2
    ssl.key.password: hunter2
    sasl.oauthbearer.client.secret: hunter2
    ssl.key.pem: hunter2
metrics_generator:
  storage:
    remote_write:
    - url: http://a/x?key=hunter2
      headers: {X-Api-Key: hunter2}
      basic_auth: {username: user, password: hunter2}
    - {url: 'http://b/x', bearer_token: hunter2}
    - {url: 'http://c/x', authorization: {credentials: hunter2}}
    - url: http://d/x
      proxy_url: http://user:hunter2@proxy:3128
      oauth2:
        client_id: us
        client_secret: hunter2
        token_url: http://t/x?key=hunter2
        endpoint_params: {audience: hunter2}
  ring: {kvstore: {etcd: {password: hunter2}}}
overrides:
  user_configurable_overrides: {client: {s3: {secret_key: hunter2}}}
"""


def test_secrets_are_in_no_text_of_the_configuration() -> None:
    config = parse_config(SECRETS, environ={})
    for text in (repr(config), str(config), as_yaml(config), str(as_tree(config))):
        assert "hunter2" not in text
    assert "hunter2" not in repr(routes_of(config, settings_by_tenant(config)))


def test_what_is_no_secret_is_shown() -> None:
    text = as_yaml(parse_config(SECRETS, environ={}))
    assert "security.protocol: SASL_SSL" in text
    assert "sasl.username: reader" in text
    assert "sasl.password: '**********'" in text
    assert "url: http://a/x\n" in text


def test_the_configuration_in_force_can_be_read_again() -> None:
    text = """
kafka: {group_instance_id: "", topic: a, client: {fetch.max.bytes: 1}}
metrics_generator:
  codec: push-bytes
  processor: {service_graphs: {wait: 1m30s}}
  storage: {remote_write: [{url: http://a/x}]}
overrides: {defaults: {metrics_generator: {processors: []}}}
"""
    config = parse_config(text, environ={})
    assert parse_config(as_yaml(config), environ={}) == config


@pytest.mark.parametrize(
    "text",
    [
        "kafka: {client: {sasl.password: {a: hunter2}}}",
        "kafka: {client: hunter2}",
        "metrics_generator: {storage: {remote_write: hunter2}}",
        "metrics_generator: {storage: {remote_write: [hunter2]}}",
        "metrics_generator: {storage: {remote_write: [{url: 'http://u:hunter2@a/x'}]}}",
        "metrics_generator: {storage: {remote_write: [{url: 'http:///x?key=hunter2'}]}}",
        "metrics_generator: {storage: {remote_write: [{url: 'http://a', basic_auth: hunter2}]}}",
        "metrics_generator: {storage: {remote_write: [{url: x, bearer_token: {a: hunter2}}]}}",
        "metrics_generator: {storage: {remote_write: [{url: 'http://a', headers: hunter2}]}}",
        "metrics_generator: {storage: {remote_write: [{url: 'http://a', oauth2: {x: hunter2}}]}}",
        "kafka: {client: {sasl.password: 'hunter2}}",
        "kafka:\n  client: sasl.password: hunter2\n",
        "kafka: *hunter2x\nhunter2",
    ],
)
def test_secrets_are_in_no_problem(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, environ={})
    assert "hunter2" not in str(caught.value).replace("alias 'hunter2x'", "")


def test_a_secret_may_look_like_a_number_when_a_variable_holds_it() -> None:
    text = """
kafka:
  client:
    sasl.password: ${PASSWORD}
metrics_generator: {storage: {remote_write: [{url: "http://a/x", bearer_token: "${PASSWORD}"}]}}
"""
    config = parse_config(text, environ={"PASSWORD": "123"})
    assert config.kafka.client_properties() == {"sasl.password": "123"}
    token = config.metrics_generator.storage.remote_write[0].bearer_token
    assert token is not None
    assert token.get_secret_value() == "123"
