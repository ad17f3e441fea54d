"""The aims of CONSOLE.md 6.4, and which of them this run met."""

from __future__ import annotations

from typing import Any

from bench.queue.reach import Aim, aim

MAX_STATEMENTS, MAX_KB, MAX_REQUESTS, MAX_GROWTH = 12, 100, 6, 1.3
# A ratio of two times that are both so short says nothing about the rows.
NOISE_MS = 10.0


def reach(lines: list[dict[str, Any]], small: dict[str, float], lists: set[str]) -> list[Aim]:
    """Return every aim with the figure of this run.

    Args:
        lines: one per page, on the full tables.
        small: the best time of each page on a tenth of the rows; empty when that was not measured.
        lists: names of the pages that are lists.
    """
    aims = [aim(f"{line['page']}: median ms", line["median_ms"], f"<= {line['goal_ms']}") for line in lines]
    for name, key, limit in (
        ("statements", "statements", MAX_STATEMENTS),
        ("kB", "kb", MAX_KB),
        ("requests", "requests", MAX_REQUESTS),
        ("parts given up", "gave_up", 0),
    ):
        worst = max(lines, key=lambda line: line[key], default=None)
        where = f" ({worst['page']})" if worst and worst[key] else ""
        aims.append(aim(f"most {name} of a page{where}", worst[key] if worst else None, f"<= {limit}"))
    for line in lines:
        if line["page"] in lists and small:
            aims.append(aim(f"{line['page']}: ten times the rows", growth(line, small), f"<= {MAX_GROWTH}"))
    return aims


def growth(line: dict[str, Any], small: dict[str, float]) -> float | None:
    """Return how many times as long a page takes on ten times the rows; both count as at least 10 ms.

    The best times are compared: the two were measured minutes apart, and who else used the machine slows the rest.
    """
    before = small.get(line["page"])
    return None if before is None else max(line["min_ms"], NOISE_MS) / max(before, NOISE_MS)
