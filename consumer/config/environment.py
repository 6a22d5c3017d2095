"""The only module that asks where it runs: environment, host name, installed version."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version


def environment() -> Mapping[str, str]:
    """The environment variables of this process."""
    return dict(os.environ)


def host_name() -> str:
    """The machine's name; in Kubernetes that of the pod."""
    return socket.gethostname()


def own_version() -> str:
    """The installed version of spanmill; ``unknown`` when it runs without being installed."""
    try:
        return version("spanmill")
    except PackageNotFoundError:
        return "unknown"
