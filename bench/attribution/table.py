"""What a person reads."""

from __future__ import annotations

from typing import Any

from bench.attribution.reach import median
from bench.queue.table import aligned, number

Line = dict[str, Any]

# Part, title, the column that names a line, and (heading, figure, decimals) of the others.
_TABLES = (
    (
        "rules",
        "rule models alone (floor: bare INSERT … SELECT of the same rows)",
        "model",
        (
            ("rows", "rows", 0), ("first s", "seconds", 2), ("floor s", "floor_s", 2), ("x floor", "times_floor", 2),
            ("again s", "again_s", 2), ("again/first", "again_ratio", 2),
        ),
    ),
    (
        "together",
        "all of them in one pass",
        "models",
        (("rows", "rows", 0), ("s", "seconds", 2), ("floor s", "floor_s", 2), ("x floor", "times_floor", 2)),
    ),
    (
        "peers",
        "per row written",
        "peer",
        (("rows", "rows", 0), ("s", "seconds", 2), ("microseconds per row", "us_per_row", 1)),
    ),
    (
        "day",
        "one day of thirty",
        "part",
        (
            ("conversions", "conversions", 0), ("rows", "rows", 0), ("first ms", "first_ms", 0),
            ("again ms", "again_ms", 0),
        ),
    ),
    (
        "markov",
        "Markov chain of order 1 from stored path counts",
        "part",
        (
            ("journeys", "journeys", 0), ("stored rows", "stored_rows", 0), ("distinct paths", "paths", 0),
            ("read s", "read_s", 2), ("trained s", "train_s", 2), ("300 draws s", "bootstrap_s", 2),
        ),
    ),
    (
        "growth",
        "a whole run (linear) in a consumer",
        "size",
        (("events", "events", 0), ("rows", "rows", 0), ("s", "seconds", 1), ("peak RSS MiB", "rss_mb", 0)),
    ),
)  # fmt: skip


def tables(lines: list[Line]) -> str:
    """Return the tables of what was measured, medians over the repetitions; and the plan of the sum check."""
    parts = []
    for part, title, key, columns in _TABLES:
        names = dict.fromkeys(line[key] for line in lines if line["part"] == part)
        if not names:
            continue
        cells = [["", *(heading for heading, *_ in columns)]]
        for name in names:
            mine = [line for line in lines if line["part"] == part and line[key] == name]
            figures = [(median(mine, figure), decimals) for _, figure, decimals in columns]
            cells.append([str(name), *(number(value, decimals) for value, decimals in figures)])
        parts.append(f"{title}\n{aligned(cells)}")
    for line in lines:
        if line.get("plan"):
            parts.append("the sum check of that day's rows, as the server executes it\n" + "\n".join(line["plan"]))
    return "\n\n".join(parts)
