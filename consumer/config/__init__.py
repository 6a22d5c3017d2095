"""What a user can set, where it is read from, and what is said about mistakes."""

from consumer.config.endpoints import endpoints_of
from consumer.config.load import load_config, parse_config, require_remote_write
from consumer.config.model import Config, Notice

__all__ = [
    "Config",
    "Notice",
    "endpoints_of",
    "load_config",
    "parse_config",
    "require_remote_write",
]
