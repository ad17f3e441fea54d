"""The command line."""

from __future__ import annotations

import argparse
import os

from bench.queue.options import positive
from bench.queue.systems import ROOT

OUT = ROOT / "bench" / "out" / "console.json"


def read(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options; ends the program with help or a usage error."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.console",
        description="Time each page of the console on full tables, in a PostgreSQL 18 of its own.",
    )
    parser.add_argument(
        "--scale",
        type=positive,
        default=os.environ.get("SCALE"),
        help="allocations (default $SCALE, else 1500000); 2/15 as many dead letters, 7/15 as many attempts",
    )
    parser.add_argument("--reps", type=positive, default=15, help="times that each page is asked for (default 15)")
    parser.add_argument("--only", metavar="PAGE,…", default="", help="pages by name; see the table")
    parser.add_argument("--no-growth", action="store_true", help="do not measure lists at a tenth of the rows first")
    parser.add_argument("--out", default=str(OUT), help="default bench/out/console.json")
    options = parser.parse_args(arguments)
    options.scale = int(options.scale or 1_500_000)
    options.only = [name for name in options.only.split(",") if name]
    return options
