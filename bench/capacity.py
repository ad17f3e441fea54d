"""`python -m bench.capacity`: the capacity table of docs/operations.md, from what the benchmarks wrote to bench/out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "out"
NONE = "\u2013"

Found = dict[str, Any]
Say = Callable[[Found], str]


def _ours(found: Found) -> Found:
    return dict(found["systems"]["skeldir"])


def _linear(found: Found) -> str:
    lines = [line for line in found["lines"] if line["part"] == "rules" and line["model"] == "linear"]
    rates = sorted(line["rows"] / line["seconds"] for line in lines)
    return f"{rates[len(rates) // 2]:,.0f} per second of one run, {lines[0]['rows']:,} rows"


def _refresh(found: Found) -> str:
    last = found["refreshes"][-1]
    return f"{last['allocation_days_ms']} ms for a tenant's changed day among {last['allocations']:,} allocations"


def _view(found: Found) -> str:
    last = found["refreshes"][-1]
    return f"{last['mv_channel_performance_ms'] / 1000:.1f} s at {last['summary_rows']:,} rows of its summary"


def _pages(found: Found) -> str:
    times = sorted(page["min_ms"] for page in found["pages"])
    return f"median page {times[len(times) // 2]:,.0f} ms, slowest {times[-1]:,.0f} ms"


# What, which file it is in, what to say of it, where it ends.
ROWS: tuple[tuple[str, str, Say, str], ...] = (
    ("short jobs, one process", "queue", lambda found: f"{_ours(found)['drain_w1_per_s']:,.0f} per second",
     "the interpreter: add processes"),
    ("short jobs, two processes", "queue", lambda found: f"{_ours(found)['drain_p2_per_s']:,.0f} per second",
     "the server's commits: faster disk, or `synchronous_commit`"),
    ("jobs enqueued together", "queue", lambda found: f"{_ours(found)['bulk_per_s']:,.0f} per second",
     "the server's commits"),
    ("from enqueue to begin, idle", "queue",
     lambda found: f"p50 {_ours(found)['p50_ms']:.1f} ms, p99 {_ours(found)['p99_ms']:.1f} ms",
     "the round trip to the server"),
    ("allocations", "attribution", _linear, "memory of the server"),
    ("import of a file", "reports", lambda found: f"{found['import']['lines_per_s']:,} lines per second",
     "the server's commits: one process per tenant"),
    ("a summary after a change", "reports", _refresh, "what changed, not what is there"),
    ("a materialized view on it", "reports", _view, "rows of the summary: days, channels and tenants"),
    ("the console, full tables", "console", _pages, "processors of the console's machine"),
)  # fmt: skip


def table(folder: Path) -> str:
    """Return the table in Markdown; a dash where a benchmark has not run or did not measure that."""
    lines = ["| what | measured | where it ends |", "|---|---|---|"]
    for what, name, say, limit in ROWS:
        path = folder / f"{name}.json"
        try:
            measured = say(json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, KeyError, IndexError, TypeError):
            measured = NONE
        lines.append(f"| {what} | {measured} | {limit} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT))
