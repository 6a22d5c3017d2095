"""From ``remote_write`` entries to what the sender takes; reads the files with secrets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from consumer.config.generator import StorageConfig
from consumer.config.remote_write import Authorization, RemoteWriteConfig
from consumer.errors import ConfigError, Problem
from consumer.remote_write.endpoint import Endpoint


def endpoints_of(storage: StorageConfig) -> tuple[Endpoint, ...]:
    """The sender's endpoints, each with a name of its own.

    Raises :class:`ConfigError` for every file with a secret that cannot be read.
    """
    problems: list[Problem] = []
    names = _names(storage.remote_write)
    made = tuple(
        _endpoint(entry, name, storage, _Secrets(index, problems))
        for index, (entry, name) in enumerate(zip(storage.remote_write, names, strict=True))
    )
    if problems:
        raise ConfigError(problems)
    return made


class _Secrets:
    """Reads the secrets of one entry."""

    def __init__(self, index: int, problems: list[Problem]) -> None:
        self._path = f"metrics_generator.storage.remote_write[{index}]"
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
            self._problems.append(Problem(f"{self._path}.{key}", text))
            return None


def _endpoint(
    entry: RemoteWriteConfig, name: str, storage: StorageConfig, secrets: _Secrets
) -> Endpoint:
    queue = entry.queue_config
    headers = {key: value.get_secret_value() for key, value in entry.headers.items()}
    login = entry.basic_auth
    token = secrets.read("bearer_token_file", entry.bearer_token, entry.bearer_token_file)
    if entry.authorization is not None:
        token = _authorize(entry.authorization, headers, secrets)
    return Endpoint(
        url=entry.url,
        name=name,
        headers=headers,
        timeout_s=entry.remote_timeout / 1000,
        max_samples_per_send=queue.max_samples_per_send,
        min_backoff_s=queue.min_backoff / 1000,
        max_backoff_s=queue.max_backoff / 1000,
        retry_on_429=queue.retry_on_http_429,
        connections=queue.max_shards,
        add_org_id_header=storage.remote_write_add_org_id_header,
        user=login.username if login else None,
        password=(
            secrets.read("basic_auth.password_file", login.password, login.password_file) or ""
            if login
            else None
        ),
        bearer_token=token,
    )


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


def _names(entries: Sequence[RemoteWriteConfig]) -> list[str]:
    """Given names, else host and port; a number is added to one that occurs again."""
    seen: Counter[str] = Counter(entry.name for entry in entries if entry.name)
    names = []
    for entry in entries:
        name = entry.name or urlsplit(entry.url).netloc
        if not entry.name:
            seen[name] += 1
            name = f"{name}#{seen[name]}" if seen[name] > 1 else name
        names.append(name)
    return names
