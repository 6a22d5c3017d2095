"""The only module that reads the process's environment and the machine's name."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


def environment() -> Mapping[str, str]:
    """The environment variables of this process."""
    return dict(os.environ)


def host_name() -> str:
    """The machine's name; in Kubernetes that of the pod."""
    return socket.gethostname()
