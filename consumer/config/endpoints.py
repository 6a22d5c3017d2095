"""From ``remote_write`` entries to what the sender takes; reads the files with secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from consumer.config.generator import StorageConfig
from consumer.config.model import Config
from consumer.config.remote_write import (
    Authorization,
    OAuth2Config,
    RemoteWriteConfig,
    TlsConfig,
)
from consumer.config.tenants import SettingsByTenant
from consumer.errors import ConfigError, Problem
from consumer.remote_write.credentials import OAuth2, TlsSettings
from consumer.remote_write.endpoint import Endpoint
from consumer.remote_write.headers import TenantHeaders
from consumer.remote_write.relabel import Rule
from consumer.remote_write.request import Message
from consumer.remote_write.routes import Routes

_STATIC = "metrics_generator.storage.remote_write"
_DEFAULTS = "overrides.defaults.metrics_generator.remote_write"


def routes_of(config: Config, tenants: SettingsByTenant) -> Routes:
    """Which endpoints the tenants have, each with a name of its own.

    A tenant whose endpoints are those of all shares them; the names of its own begin with
    the tenant's. Raises :class:`ConfigError` for every file with a secret that cannot be
    read.
    """
    storage = config.metrics_generator.storage
    problems: list[Problem] = []
    names: set[str] = set()
    common = tenants.default.remote_write
    path = _STATIC if common == storage.remote_write else _DEFAULTS
    default = _endpoints(common, storage, _Place(path, "", names, problems))
    own = {
        tenant: _endpoints(
            settings.remote_write,
            storage,
            _Place(
                f"overrides.{tenant}.metrics_generator.remote_write", f"{tenant}/", names, problems
            ),
        )
        for tenant, settings in tenants.entries.items()
        if settings.remote_write != common
    }
    if problems:
        raise ConfigError(problems)
    headers = TenantHeaders(
        default=_shown(tenants.default.remote_write_headers),
        named={
            tenant: _shown(settings.remote_write_headers)
            for tenant, settings in tenants.entries.items()
        },
    )
    return Routes(default, own, headers, storage.remote_write_flush_deadline / 1_000)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a list of entries stands; without a ``prefix`` it is for all tenants."""

    path: str
    prefix: str
    names: set[str]
    problems: list[Problem]


def _endpoints(
    entries: Sequence[RemoteWriteConfig], storage: StorageConfig, place: _Place
) -> tuple[Endpoint, ...]:
    made = (
        _endpoint(entry, name, storage, _Secrets(f"{place.path}[{index}]", place.problems))
        for index, (entry, name) in enumerate(zip(entries, _names(entries, place), strict=True))
    )
    return tuple(replace(each, private=bool(place.prefix)) for each in made)


def _shown(secrets: Mapping[str, SecretStr]) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in secrets.items()}


class _Secrets:
    """Reads the secrets of one entry."""

    def __init__(self, path: str, problems: list[Problem]) -> None:
        self._path = path
        self._problems = problems

    def read(self, key: str, inline: SecretStr | None, file: str | None) -> str | None:
        """The secret itself, or the text of the file without white space around it."""
        if inline is not None:
            return inline.get_secret_value()
        if file is None:
            return None
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            text = f"cannot read {file}: {reason}"
            self.tell(key, text)
            return None

    def tell(self, key: str, text: str) -> None:
        """Note a problem with the entry."""
        self._problems.append(Problem(f"{self._path}.{key}", text))


def _endpoint(
    entry: RemoteWriteConfig, name: str, storage: StorageConfig, secrets: _Secrets
) -> Endpoint:
    queue, told = entry.queue_config, entry.metadata_config
    headers = _shown(entry.headers)
    login = entry.basic_auth
    token = secrets.read("bearer_token_file", entry.bearer_token, entry.bearer_token_file)
    if entry.authorization is not None:
        token = _authorize(entry.authorization, headers, secrets)
    bearer_file, login_file = _files(entry)
    return Endpoint(
        url=entry.url,
        name=name,
        headers=headers,
        timeout_s=entry.remote_timeout / 1000,
        max_samples_per_send=queue.max_samples_per_send,
        min_backoff_s=queue.min_backoff / 1000,
        max_backoff_s=queue.max_backoff / 1000,
        retry_on_429=queue.retry_on_http_429,
        min_shards=queue.min_shards,
        max_shards=queue.max_shards,
        max_pending_bytes=queue.max_pending_bytes,
        add_org_id_header=storage.remote_write_add_org_id_header,
        user=login.username if login else None,
        password=(
            secrets.read("basic_auth.password_file", login.password, login.password_file) or ""
            if login
            else None
        ),
        bearer_token=token,
        bearer_token_file=bearer_file,
        password_file=login_file,
        oauth2=_oauth2(entry.oauth2, secrets) if entry.oauth2 else None,
        tls=_tls(entry.tls_config, secrets) if entry.tls_config else None,
        follow_redirects=entry.follow_redirects,
        proxy_url=entry.proxy_url.get_secret_value() if entry.proxy_url else None,
        relabel=tuple(Rule(**rule.model_dump()) for rule in entry.write_relabel_configs),
        message=Message(entry.protobuf_message),
        legacy_created_timestamp=entry.legacy_created_timestamp,
        metadata_interval_s=told.send_interval / 1000 if told.send else 0.0,
        sample_age_limit_s=queue.sample_age_limit / 1000,
    )


def _files(entry: RemoteWriteConfig) -> tuple[str | None, str | None]:
    """The files with a token and with a password that are read again later."""
    token = entry.bearer_token_file
    given = entry.authorization
    if given is not None and given.type.strip().lower() == "bearer":
        token = given.credentials_file
    return token, entry.basic_auth.password_file if entry.basic_auth else None


def _oauth2(entry: OAuth2Config, secrets: _Secrets) -> OAuth2:
    secrets.read("oauth2.client_secret_file", None, entry.client_secret_file)
    secret = entry.client_secret
    return OAuth2(
        client_id=entry.client_id,
        token_url=entry.token_url,
        client_secret=secret.get_secret_value() if secret else None,
        client_secret_file=entry.client_secret_file,
        scopes=entry.scopes,
        endpoint_params=_shown(entry.endpoint_params),
    )


def _tls(entry: TlsConfig, secrets: _Secrets) -> TlsSettings:
    settings = TlsSettings(**entry.model_dump())
    try:
        settings.context()
    except OSError as error:
        secrets.tell("tls_config", f"cannot use these files: {error.strerror}")
    return settings


def _authorize(
    authorization: Authorization, headers: dict[str, str], secrets: _Secrets
) -> str | None:
    """The token of a Bearer; another scheme goes into ``headers`` as it is."""
    key = "authorization.credentials_file"
    text = secrets.read(key, authorization.credentials, authorization.credentials_file)
    if authorization.type.strip().lower() == "bearer":
        return text
    headers["Authorization"] = f"{authorization.type.strip()} {text or ''}"
    return None


def _names(entries: Sequence[RemoteWriteConfig], place: _Place) -> list[str]:
    """Given names, else host and port; a number is added to one that is taken already."""
    given = {f"{place.prefix}{entry.name}" for entry in entries if entry.name}
    names = []
    for entry in entries:
        wanted = name = f"{place.prefix}{entry.name or urlsplit(entry.url).netloc}"
        taken = place.names if entry.name else place.names | given
        numbers = count(2)
        while name in taken:
            name = f"{wanted}#{next(numbers)}"
        place.names.add(name)
        names.append(name)
    return names
