"""The file with what differs from tenant to tenant, read again while the worker runs.

Owns the settings in force. Time comes from the caller, who asks at every turn; the file is
read at most once a period, or at once when :attr:`Overrides.wanted` is set. Only its bytes
decide whether anything changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Literal

from consumer.config.endpoints import routes_of
from consumer.config.load import parse_tenants, read_text
from consumer.config.model import Config
from consumer.config.tenants import settings_by_tenant
from consumer.errors import ConfigError, InputError

Outcome = Literal["unchanged", "changed", "failed"]


@dataclass(frozen=True, slots=True)
class Reload:
    """What came of a look at the file; ``problems`` when it failed."""

    outcome: Outcome
    problems: Sequence[str] = ()


class Overrides:
    """The settings of all tenants, as of the last file that was good."""

    def __init__(self, config: Config, *, environ: Mapping[str, str], now_ms: int) -> None:
        """Raises :class:`ConfigError` or :class:`InputError` when the file is not good."""
        self._config = config
        self._environ = environ
        self._period_ms = config.overrides.per_tenant_override_period
        self._looked_ms = now_ms
        self._text = ""
        self.wanted = Event()
        """Set it to have the file read at the next turn; a signal does."""
        if self.path is None:
            self.tenants = settings_by_tenant(config)
        else:
            self._text = read_text(self.path)
            self.tenants = parse_tenants(config, self._text, environ=environ)
        self.routes = routes_of(config, self.tenants)

    @property
    def path(self) -> Path | None:
        """The file, if there is one."""
        name = self._config.overrides.per_tenant_override_config
        return Path(name) if name else None

    def look(self, now_ms: int) -> Reload | None:
        """Read the file if it is time to; ``changed``: the settings are others now.

        A file that cannot be read or is wrong changes nothing, and is tried again.
        """
        is_due = now_ms - self._looked_ms >= self._period_ms
        if self.path is None or not (is_due or self.wanted.is_set()):
            return None
        self._looked_ms = now_ms
        self.wanted.clear()
        try:
            text = read_text(self.path)
            if text == self._text:
                return Reload("unchanged")
            tenants = parse_tenants(self._config, text, environ=self._environ)
            routes = routes_of(self._config, tenants)
        except ConfigError as error:
            return Reload("failed", [str(problem) for problem in error.problems])
        except InputError as error:
            return Reload("failed", [str(error)])
        self._text, is_same = text, tenants == self.tenants
        self.tenants, self.routes = tenants, routes
        return Reload("unchanged" if is_same else "changed")
