"""The command line: what is asked for, and how mistakes are told.

Exit codes: 0 done; 2 the user has something to mend; 130 interrupted. A command imports
what it needs when it runs, so that ``--help`` and ``version`` are quick.
"""

# ruff: noqa: PLC0415  see above

from __future__ import annotations

import platform
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumer.cli.operations import operations
from consumer.cli.options import ConfigFile, Settings
from consumer.cli.options import load as _load
from consumer.errors import ConfigError, SpanmillError

if TYPE_CHECKING:
    from consumer.config import Config

EXIT_USER = 2

app = typer.Typer(
    name="spanmill",
    help="Prometheus metrics out of the spans in Kafka.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(operations)

OtlpPort = Annotated[
    int, typer.Option(metavar="PORT", min=0, max=65535, help="For OTLP/HTTP; 0: a free one.")
]

Inputs = Annotated[list[Path], typer.Argument(metavar="INPUT...", help="OTLP files.")]


@app.command()
def worker(config: ConfigFile = None, settings: Settings = None) -> None:
    """Read spans from Kafka and write their metrics until told to stop."""
    from consumer.config import require_remote_write

    loaded = _load(config, settings)
    require_remote_write(loaded)
    _start_logging(loaded)
    from consumer.assembly import run_worker

    raise typer.Exit(run_worker(loaded))


@app.command()
def distributor(
    config: ConfigFile = None, settings: Settings = None, port: OtlpPort = 4318
) -> None:
    """Take spans by OTLP/HTTP and write them to Kafka, to try things out."""
    loaded = _load(config, settings)
    _start_logging(loaded)
    from consumer.distributor import run_distributor

    raise typer.Exit(run_distributor(loaded, port=port))


@app.command()
def demo(
    duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Stop after this long.", min=0)
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="SPANS_PER_S", help="Spans to make.", min=0)
    ] = None,
    otlp_port: OtlpPort = 4318,
    page_port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="For the page; 0: a free one.")
    ] = 0,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a live view.")] = False,
) -> None:
    """Show the whole chain at work, with nothing installed."""
    from consumer.demo import DemoOptions, run_demo

    options = DemoOptions(
        duration_s=duration, otlp_port=otlp_port, page_port=page_port, plain=plain
    )
    raise typer.Exit(run_demo(options if rate is None else replace(options, rate=rate)))


@app.command()
def load(
    address: Annotated[str, typer.Argument(metavar="URL", help="Such as http://localhost:4318.")],
    duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Stop after this long.", min=0)
    ] = None,
    rate: Annotated[float, typer.Option(metavar="SPANS_PER_S", help="Spans to make.", min=0)] = 400,
) -> None:
    """Send the spans of the demo's two shops to an OTLP/HTTP address."""
    from consumer.demo.send import send_load
    from consumer.telemetry.logs import start_logging

    start_logging("info", "auto")
    raise typer.Exit(send_load(address, rate=rate, duration_s=duration, seed=1))


@app.command()
def preview(
    inputs: Inputs,
    config: ConfigFile = None,
    settings: Settings = None,
    encoding: Annotated[
        str | None, typer.Option(help="otlp_proto, otlp_json or tempo; else as configured.")
    ] = None,
    keep_pending: Annotated[
        bool, typer.Option("--keep-pending", help="Leave half edges instead of expiring them.")
    ] = False,
) -> None:
    """Print the final series that OTLP files would produce, without Kafka."""
    from consumer.config.blocks import ENCODINGS
    from consumer.files.preview import run_preview

    if encoding not in (None, *ENCODINGS):
        raise typer.BadParameter(f"expected one of {', '.join(ENCODINGS)}", param_hint="--encoding")
    run_preview(
        _load(config, settings),
        inputs,
        encoding=encoding,
        keep_pending=keep_pending,
        output=sys.stdout,
    )


@app.command()
def explain(
    inputs: Inputs,
    config: ConfigFile = None,
    settings: Settings = None,
    trace: Annotated[
        str | None, typer.Option(metavar="ID", help="Tell of the spans of this trace alone.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a span.")] = False,
) -> None:
    """Tell what became of each span of OTLP files, and why."""
    from consumer.explain import run_explain

    run_explain(_load(config, settings), inputs, trace_id=trace, as_json=as_json, output=sys.stdout)


@app.command()
def forecast(
    inputs: Inputs,
    config: ConfigFile = None,
    settings: Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Attributes to list.")] = 15,
) -> None:
    """Tell how many series OTLP files make, and what one more dimension would cost."""
    from consumer.forecast import run_forecast

    run_forecast(_load(config, settings), inputs, as_json=as_json, top=top, output=sys.stdout)


@app.command("check-config")
def check_config(
    config: ConfigFile = None,
    settings: Settings = None,
    show: Annotated[
        bool, typer.Option("--print", help="Print the configuration in force, without secrets.")
    ] = False,
) -> None:
    """Tell every problem of a configuration, and what has no effect."""
    from consumer.config import require_remote_write
    from consumer.config.environment import environment
    from consumer.config.load import load_tenants

    loaded = _load(config, settings)
    tenants = load_tenants(loaded, environ=environment())
    for notice in (*loaded.notices, *tenants.notices):
        typer.echo(str(notice), err=True)
    try:
        require_remote_write(loaded)
    except ConfigError as error:
        typer.echo(f"{error} (preview needs none)", err=True)
    if show:
        from consumer.config.shown import as_yaml

        typer.echo(as_yaml(loaded), nl=False)
    else:
        typer.echo("the configuration is good")


@app.command()
def version() -> None:
    """Print the version of spanmill and of Python."""
    from consumer.config.environment import own_version

    typer.echo(f"spanmill {own_version()} (Python {platform.python_version()})")


def main() -> None:
    """Run the command line; the entry point of the package."""
    try:
        app()
    except ConfigError as error:
        _fail([str(problem) for problem in error.problems])
    except SpanmillError as error:
        _fail([str(error)])


def _start_logging(config: Config) -> None:
    from consumer.telemetry.logs import start_logging

    start_logging(config.server.log_level, config.server.log_format)


def _fail(lines: list[str]) -> None:
    for line in lines:
        typer.echo(line, err=True)
    sys.exit(EXIT_USER)
