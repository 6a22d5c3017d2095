"""``make chaos``: prints a JSON report; exits with 1 unless every number came out right."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from tempfile import mkdtemp

import orjson

from tests.chaos.plan import Violence
from tests.chaos.run import EXACTLY_ONCE, Run, Stage, open_parts

LEAST_S, A_KILL_S = 120.0, 3.0
"""Of load: a worker takes a second or two to start, and shall do something before it ends."""

DISTURBED_GRACE_MS = 3_000
"""Records of the load are under way for up to 2 s when its broker was restarted."""


def main() -> int:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=10, metavar="N", help="of workers")
    parser.add_argument(
        "--seconds",
        type=float,
        help=f"how long the load lasts: {LEAST_S:.0f}, or {A_KILL_S:.0f} a kill if that is more",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=50.0, help="purchases a second")
    parser.add_argument("--quiet", action="store_true", help="disturb nothing: one worker")
    parser.add_argument("--keep", metavar="FOLDER", help="keep logs and data there")
    parser.add_argument(
        "--guarantee", choices=("at_least_once", EXACTLY_ONCE), default=EXACTLY_ONCE
    )
    arguments = parser.parse_args()
    kills, others = (0, ()) if arguments.quiet else (arguments.kills, Violence(0, 0, 0).others)
    seconds = arguments.seconds or max(LEAST_S, A_KILL_S * kills)
    violence = Violence(kills, seconds, arguments.seed, others)
    run = Run(
        violence,
        guarantee=arguments.guarantee,
        purchases_per_s=arguments.rate,
        idle_grace_ms=1_000 if arguments.quiet else DISTURBED_GRACE_MS,
    )
    folder = Path(arguments.keep or mkdtemp(prefix="chaos-"))
    folder.mkdir(exist_ok=True)
    try:
        with open_parts(folder) as parts:
            report, is_good = Stage(run, parts).play()
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
