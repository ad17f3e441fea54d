"""Chaos: `python -m tests.chaos --budget 75s --seed 7`."""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
from pathlib import Path

from tests.chaos import parts
from tests.chaos.arena import arena, say
from tests.chaos.mutants import MUTANTS

DESCRIPTION = """
Kills, freezes and cuts real consumers and restarts their Postgres while they work, and asks the database afterwards
whether anything was lost or done twice. Exit code 0: every promise was kept; 1: one was not; 3: nothing was measured,
because the machine or the producers were too slow.
"""


def seconds(text: str) -> float:
    """Read 75, 75s or 2m."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"expected seconds such as 75s or 2m, got {text!r}")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=DESCRIPTION)
    parser.add_argument("--budget", type=seconds, default=75.0, help="how long faults go on, start-up excluded (75s)")
    parser.add_argument("--seed", type=int, help="the same seed makes the same orders and plan of faults (random)")
    parser.add_argument("--orders", type=int, help="how many orders are placed (20 for each second of budget)")
    parser.add_argument("--min-hits", type=int, help="faults that must interrupt a running job (50 at 75s)")
    parser.add_argument("--parts", default="faults,poison,points", help="which of faults, poison and points (all)")
    parser.add_argument("--rounds", type=int, default=20, help="how often each crash point crashes (20)")
    parser.add_argument("--mutant", default="", help=f"take a protection out: {', '.join(MUTANTS)}; must end with 1")
    parser.add_argument("--logs", type=Path, help="keep the consumers' logs in this folder")
    given = parser.parse_args(arguments)
    if given.seed is None:
        given.seed = random.randrange(10**6)
    if given.orders is None:
        given.orders = round(20 * given.budget)
    if given.min_hits is None:
        given.min_hits = round(given.budget * 50 / 75)
    given.parts = given.parts.split(",")
    unknown = [name for name in given.parts if name not in parts.PARTS] + [
        name for name in filter(None, given.mutant.split(",")) if name not in MUTANTS
    ]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    return given


def main(arguments: list[str]) -> int:
    """Run the parts one after the other, each in an arena of its own; return the exit code."""
    given = options(arguments)
    say(f"chaos: seed {given.seed}, budget {given.budget:g} s, {given.orders} orders, parts {', '.join(given.parts)}")
    worst = 0
    for name in given.parts:
        say(f"\n== {name}" + (f", mutant {given.mutant}" if given.mutant else ""))
        with arena(given.logs / name if given.logs else None) as made:
            problems, invalid = parts.PARTS[name](made, given)
        for problem in problems:
            say(f"FAILED: {problem}")
        for reason in invalid:
            say(f"NOT MEASURED: {reason}")
        worst = 1 if problems or worst == 1 else 3 if invalid or worst == 3 else 0
    say(f"\n{ {0: 'passed', 1: 'failed', 3: 'not measured'}[worst] } (seed {given.seed})")
    return worst


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # takes everything away, as Ctrl-C does
    sys.exit(main(sys.argv[1:]))
