"""From single lines to medians, one row per system."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

Row = dict[str, float | None]


def median(values: Iterable[float | None]) -> float | None:
    """Return the median of what was measured, or None."""
    there = [value for value in values if value is not None]
    return statistics.median(there) if there else None


def rows(lines: list[dict[str, Any]], base: str) -> dict[str, Row]:
    """Return one row per system: medians over the repetitions, and ratios to the base system."""
    made: dict[str, Row] = {}
    for system in dict.fromkeys(line["system"] for line in lines):
        mine = [line for line in lines if line["system"] == system]
        drains = [line for line in mine if line["part"] == "drain"]
        row: Row = {name: median(line.get(name) for line in drains) for name in ("enqueue_per_s", "bulk_per_s")}
        for way in ("w1", "w4", "p2"):
            there = [line for line in drains if line["way"] == way]
            row[f"drain_{way}_per_s"] = median(line["drain_per_s"] for line in there)
            row[f"sessions_{way}"] = max((line["sessions_peak"] for line in there), default=None)
        one = [line for line in drains if line["way"] == "w1"]
        row["consumer_cpu_ms"] = median(line["consumer_cpu_ms"] for line in one)
        row["server_cpu_ms"] = median(line["server_cpu_ms"] for line in one)
        for part in ("latency", "statements", "claims"):
            for line in (line for line in mine if line["part"] == part):
                row |= {
                    f"{part}_{name}" if name == "count" else name: value
                    for name, value in line.items()
                    if isinstance(value, int | float)
                }
        made[system] = row
    for row in made.values():
        for name in ("enqueue_per_s", "bulk_per_s", "drain_w1_per_s", "drain_w4_per_s", "drain_p2_per_s", "p50_ms"):
            mine_value, base_value = row.get(name), made.get(base, {}).get(name)
            row[f"{name}_ratio"] = mine_value / base_value if mine_value and base_value else None
    return made
