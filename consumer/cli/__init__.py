"""The command line: `spanmill`, or `python -m consumer`."""

from consumer.cli.commands import app, main

__all__ = ["app", "main"]
