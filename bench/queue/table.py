"""What a person reads."""

from __future__ import annotations

from typing import Any

from bench.queue.reach import Aim
from bench.queue.results import Row
from bench.queue.systems import SYSTEMS

# (heading, name of the figure, decimals, whether the ratio to the base system stands beside it)
_TABLES = (
    (
        "per second, in brackets times stock SqlHuey",
        (
            ("enqueue", "enqueue_per_s", 0, True),
            ("bulk", "bulk_per_s", 0, True),
            ("drain -w 1", "drain_w1_per_s", 0, True),
            ("-w 4", "drain_w4_per_s", 0, True),
            ("2 processes", "drain_p2_per_s", 0, True),
        ),
    ),
    (
        "latency from enqueue to start on an idle consumer, ms",
        (
            ("p50", "p50_ms", 1, True),
            ("p95", "p95_ms", 1, False),
            ("p99", "p99_ms", 1, False),
            ("max", "max_ms", 1, False),
            ("jobs", "latency_count", 0, False),
        ),
    ),
    (
        "per job, one worker (statements: without BEGIN, COMMIT, SET; life: xact_commit of a whole short life / jobs)",
        (
            ("statements", "statements", 2, False),
            ("commits", "commits", 2, False),
            ("life", "commits_whole_life", 2, False),
            ("WAL fsyncs", "wal_fsyncs", 2, False),
            ("consumer CPU ms", "consumer_cpu_ms", 3, False),
            ("server CPU ms", "server_cpu_ms", 3, False),
        ),
    ),
    (
        "a process with one worker",
        (
            ("sessions idle", "sessions_idle", 0, False),
            ("peak -w 1", "sessions_w1", 0, False),
            ("peak -w 4", "sessions_w4", 0, False),
            ("RSS MiB idle", "rss_mb", 0, False),
            ("processes", "processes", 0, False),
            ("CPU % idle", "idle_cpu_percent", 1, False),
        ),
    ),
)


def number(value: float | None, decimals: int) -> str:
    """Return a figure with its thousands separated, or a dash."""
    return "-" if value is None else f"{value:,.{decimals}f}"


def tables(rows: dict[str, Row]) -> str:
    """Return the tables of all systems."""
    parts = []
    for title, columns in _TABLES:
        lines = [["", *(heading for heading, *_ in columns)]]
        for key, row in rows.items():
            cells = [SYSTEMS[key].title]
            for _, name, decimals, with_ratio in columns:
                ratio = row.get(f"{name}_ratio") if with_ratio else None
                cells.append(number(row.get(name), decimals) + (f" ({ratio:.2g}x)" if ratio is not None else ""))
            lines.append(cells)
        parts.append(f"{title}\n{aligned(lines)}")
    return "\n\n".join(parts)


def ours(row: Row) -> str:
    """Return what is measured for our queue only."""
    lines = []
    if row.get("alone_statements") is not None:
        lines.append(
            f"one job alone, claimed to settled: {number(row['alone_statements'], 0)} statements "
            f"(at most {number(row['alone_statements_max'], 0)}), "
            f"{number(row['alone_durable_commits'], 0)} durable commits (at most "
            f"{number(row['alone_durable_commits_max'], 0)}), of {number(row['alone_count'], 0)} jobs"
        )
    if row.get("empty_ms") is not None:
        lines.append(f"claim of a batch of 50 ({number(row['scale'], 0)} finished or scheduled jobs)")
        cells = [["", "buffers per job", "p50 ms"]]
        for case in ("empty", "finished", "scheduled"):
            cells.append([case, number(row[f"{case}_buffers_per_job"], 1), number(row[f"{case}_ms"], 2)])
        lines.append(aligned(cells))
    return "\n".join(lines)


def aims(found: list[Aim]) -> str:
    """Return the aims with what was reached."""
    words = {True: "met", False: "MISSED", None: "not measured"}
    cells = [["aim", "goal", "value", ""]]
    cells += [[one["name"], one["goal"], number(one["value"], 2), words[one["met"]]] for one in found]
    return aligned(cells)


def facts(machine: dict[str, Any], versions: dict[str, str]) -> str:
    """Return machine and versions in two lines."""
    one = ", ".join(f"{name} {value}" for name, value in machine.items())
    return f"machine: {one}\nversions: {', '.join(f'{name} {value}' for name, value in versions.items())}"


def aligned(lines: list[list[str]]) -> str:
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
