"""The command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable

from bench.queue.systems import ROOT, SYSTEMS

OUT = ROOT / "bench" / "out" / "queue.json"
PARTS = ("drain", "latency", "statements", "claims")


def positive(text: str) -> int:
    """Read a whole number above 0.

    Raises:
        ValueError: it is none.
    """
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def read(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options; ends the program with help or a usage error."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.queue",
        description="Measure the queue beside its peers in one run, on one PostgreSQL 18 of its own.",
        epilog="Peers run from .venv-bench (make bench-queue makes it; BENCH_PEERS_BIN names another bin folder).",
    )
    parser.add_argument("--quick", action="store_true", help="about two minutes: one repetition, few jobs")
    parser.add_argument("--only", metavar="SYSTEM,…", default="", help=f"of {', '.join(SYSTEMS)}")
    parser.add_argument("--parts", metavar="PART,…", default="", help=f"of {', '.join(PARTS)}")
    parser.add_argument("-n", type=positive, metavar="JOBS", help="at most so many jobs per drain")
    parser.add_argument("--reps", type=positive, help="repetitions of each drain (default 5; quick 1)")
    parser.add_argument("--latency", type=positive, metavar="JOBS", help="single jobs (default 1000; quick 60)")
    parser.add_argument(
        "--scale",
        type=positive,
        default=os.environ.get("SCALE"),
        help="finished and scheduled jobs behind the claim cost (default $SCALE, else 1000000; quick 3000)",
    )
    parser.add_argument("--out", default=str(OUT), help="default bench/out/queue.json")
    options = parser.parse_args(arguments)
    options.systems = _names(parser, options.only, SYSTEMS)
    options.parts = _names(parser, options.parts, PARTS)
    quick = options.quick
    options.reps = options.reps or (1 if quick else 5)
    options.latency = options.latency or (60 if quick else 1000)
    options.latency_s = 4.0 if quick else 100.0
    options.scale = int(options.scale or (3000 if quick else 1_000_000))
    options.patience_s = 1.0 if quick else 25.0
    options.counted = 60 if quick else 500
    return options


def _names(parser: argparse.ArgumentParser, text: str, known: Iterable[str]) -> list[str]:
    wanted = [name for name in text.split(",") if name]
    choices = list(known)
    unknown = [name for name in wanted if name not in choices]
    if unknown:
        parser.error(f"no such thing: {', '.join(unknown)}; choose from {', '.join(choices)}")
    return [name for name in choices if name in wanted] if wanted else choices
