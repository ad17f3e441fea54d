"""The run: sizes one after the other, each in a database of its own; a table for people, a file for programs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.queue.reach import Aim, aim
from bench.queue.server import Server, running
from bench.reports import guards, refreshes

OUT = Path(__file__).parents[1] / "out" / "reports.json"
SIZES = (100_000, 1_000_000)
# A ratio of two times that are both so short says nothing about the rows.
NOISE_MS = 10.0
# A payload is read through; the exact sum may cost as much as the floor: 2 x in all.
LIMITS = {"personal data, with payload": "<= 1", "exact sums of allocations": "<= 1"}


def main() -> int:
    """Measure, print, write; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m bench.reports", description=__doc__)
    parser.add_argument("--sizes", metavar="N,…", default=",".join(map(str, SIZES)), help="allocations, e.g. 10000000")
    parser.add_argument("--times", type=int, default=5, help="repetitions; the shortest, for guards the median, counts")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    sizes = [int(text) for text in options.sizes.split(",")]
    with running() as server:
        server.make_template()
        rows = [_in_database(server, refreshes.measure, size, options.times) for size in sizes]
        costs = _in_database(server, guards.measure, 3 * options.times)
        document = {"postgres": server.version, "refreshes": rows, "triggers": costs, "reach": reach(rows, costs)}
    for row in (*rows, *costs, *document["reach"]):
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


def reach(rows: list[dict[str, Any]], costs: list[dict[str, Any]]) -> list[Aim]:
    """Return the aims with the figures of this run."""
    small, large = rows[0], rows[-1]
    growth = max(large["allocation_days_ms"], NOISE_MS) / max(small["allocation_days_ms"], NOISE_MS)
    on_summary = large["mv_channel_performance_ms"] / large["full_ms"]
    sizes = f"{large['allocations']:,} / {small['allocations']:,} allocations"
    return [
        aim(f"one tenant's day changed: summary, {sizes}", growth, "<= 1.5"),
        aim(
            f"one tenant's day changed: summary, ms of {large['allocations']:,}", large["allocation_days_ms"], "<= 250"
        ),
        aim("view on the summary / on all allocations, at the largest size", on_summary, "<= 1"),
        *(
            aim(f"cost of {row['trigger']}, share of the write", row["share"], LIMITS.get(row["trigger"], "<= 0.15"))
            for row in costs
        ),
    ]


def _in_database(server: Server, measure: Any, *arguments: Any) -> Any:
    name = server.make_database(ours=True)
    connection = server.connect(name)
    try:
        with connection.cursor() as cursor:
            return measure(cursor, *arguments)
    finally:
        connection.close()
        server.drop_database(name)
