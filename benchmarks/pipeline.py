"""`python -m benchmarks.pipeline FILE`: how fast spanmill is on spans of your own.

FILE is one of the OpenTelemetry Collector's file exporter: JSON lines, or protobuf
messages each after its length. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import orjson

from benchmarks.cases import BATCHES
from benchmarks.inputs import read_input
from benchmarks.machine import pin_to_one_core
from benchmarks.measure import DECODE, PIPELINE, Case, measure
from benchmarks.profiles import profile
from consumer.config.environment import environment
from consumer.config.load import load_config
from consumer.decode import Encoding
from consumer.errors import SpanmillError

ROUNDS = 5
EXIT_USER = 2


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--config", type=Path, help="a configuration of spanmill")
    parser.add_argument("--batch-spans", type=int, default=BATCHES[0], metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--decoder", choices=("auto", "native", "python"), default="auto")
    parser.add_argument(
        "--profile", action="store_true", help="show where the time goes on standard error too"
    )
    arguments = parser.parse_args()
    if min(arguments.batch_spans, arguments.rounds) < 1:
        parser.error("--batch-spans and --rounds are numbers of at least 1")
    try:
        print(orjson.dumps(_run(arguments)).decode())
    except SpanmillError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_USER)


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    pin_to_one_core()
    config = load_config(arguments.config, environ=environment())
    tenants = (config.kafka.default_tenant,)
    case = Case(
        workload=arguments.file.name,
        options=arguments.config.name if arguments.config else "default",
        records=read_input(arguments.file, Encoding(config.kafka.encoding), tenants),
        config=config,
        implementation=arguments.decoder,
        batch_spans=arguments.batch_spans,
    )
    if arguments.profile:
        profile([case])
    lines = {line["stage"]: line for line in measure(case, arguments.rounds)}
    decode = lines[DECODE]["spans_per_second"]
    return {**lines[PIPELINE], "decode_spans_per_second": decode}


if __name__ == "__main__":
    main()
