"""The command line."""

from __future__ import annotations

import argparse
import os

from bench.queue.options import positive
from bench.queue.systems import ROOT

OUT = ROOT / "bench" / "out" / "reports.json"
SCALE, QUICK_SCALE = 10_000_000, 100_000


def read(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options; ends the program with help or a usage error."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.reports",
        description="Measure what keeping reports fresh costs at two sizes, and what the triggers cost a bulk write.",
    )
    parser.add_argument("--quick", action="store_true", help="under a minute: few allocations")
    parser.add_argument(
        "--scale",
        type=positive,
        default=os.environ.get("SCALE") or None,
        help=f"allocations; a tenth of them comes first (default $SCALE, else {SCALE}; quick {QUICK_SCALE})",
    )
    parser.add_argument("--times", type=positive, default=5, help="repetitions of what is short; the shortest counts")
    parser.add_argument("--out", default=str(OUT), help="default bench/out/reports.json")
    options = parser.parse_args(arguments)
    options.scale = options.scale or (QUICK_SCALE if options.quick else SCALE)
    return options
