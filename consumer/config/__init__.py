"""What a user can set, where it is read from, and what is said about mistakes."""

from consumer.config.endpoints import routes_of
from consumer.config.load import load_config, parse_config, require_remote_write
from consumer.config.model import Config, Notice

__all__ = [
    "Config",
    "Notice",
    "load_config",
    "parse_config",
    "require_remote_write",
    "routes_of",
]
