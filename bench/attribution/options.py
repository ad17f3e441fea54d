"""The command line."""

from __future__ import annotations

import argparse
import os

from bench.queue.options import positive
from bench.queue.systems import ROOT

OUT = ROOT / "bench" / "out" / "attribution.json"
PARTS = ("rules", "peers", "day", "markov", "growth")
SCALE, QUICK_SCALE = 1_000_000, 60_000
PEERS, QUICK_PEERS = 100_000, 20_000


def read(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options; ends the program with help or a usage error."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.attribution",
        description="Measure attribution in one run, on one PostgreSQL 18 of its own: row security and sum checks on.",
        epilog="pandas runs from .venv-bench (make bench-attribution makes it; BENCH_PEERS_BIN names another folder).",
    )
    parser.add_argument("--quick", action="store_true", help="about two minutes: few events, one repetition")
    parser.add_argument("--parts", metavar="PART,…", default="", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--without-pandas", action="store_true", help="leave out the peer that needs .venv-bench")
    parser.add_argument(
        "--scale",
        type=positive,
        default=os.environ.get("SCALE") or None,
        help=f"events; growth measures ten times as many, too (default $SCALE, else {SCALE}; quick {QUICK_SCALE})",
    )
    parser.add_argument("--peers", type=positive, help=f"events for the peers (default {PEERS}; quick {QUICK_PEERS})")
    parser.add_argument("--reps", type=positive, help="repetitions of each short measurement (default 3; quick 1)")
    parser.add_argument("--out", default=str(OUT), help="default bench/out/attribution.json")
    options = parser.parse_args(arguments)
    options.parts = [name for name in options.parts.split(",") if name] or list(PARTS)
    if unknown := [name for name in options.parts if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; choose from {', '.join(PARTS)}")
    options.scale = options.scale or (QUICK_SCALE if options.quick else SCALE)
    options.peers = options.peers or (QUICK_PEERS if options.quick else PEERS)
    options.reps = options.reps or (1 if options.quick else 3)
    return options
