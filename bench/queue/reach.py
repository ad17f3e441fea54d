"""The aims, and which of them this run met."""

from __future__ import annotations

from typing import Any

from bench.queue.results import Row
from bench.queue.systems import BASE

OURS = "skeldir"
Aim = dict[str, Any]


def aim(name: str, value: float | None, goal: str) -> Aim:
    """Return one aim; `goal` is a comparison like ">= 30". Without a value it is neither met nor missed."""
    sign, number = goal.split()
    limit = float(number)
    met = None if value is None else {">=": value >= limit, ">": value > limit, "<=": value <= limit}[sign]
    return {"name": name, "value": None if value is None else round(value, 3), "goal": goal, "met": met}


def reach(rows: dict[str, Row]) -> list[Aim]:
    """Return every aim of the queue's speed with the figure of this run."""
    ours = rows.get(OURS, {})
    rate = ours.get("drain_w1_per_s")

    def against(name: str) -> float | None:
        other = ours.get(name)
        return other / rate if other and rate else None

    aims = [aim("drain -w 1, times stock SqlHuey -w 1", _times(rate, rows.get(BASE, {})), ">= 30")]
    for key, row in rows.items():
        if key != OURS:
            aims.append(aim(f"drain -w 1, times {key} with one worker", _times(rate, row), "> 1"))
    for name in ("finished", "scheduled"):
        for what, title in (("buffers_per_job", "buffers per claimed job"), ("ms", "p50")):
            aims.append(aim(f"claim {title}, many {name} / empty", ours.get(f"{name}_{what}_ratio"), "<= 1.3"))
    return [
        *aims[: len(aims) - 4],
        aim("drain -w 4 / -w 1", against("drain_w4_per_s"), ">= 0.95"),
        aim("drain of two processes / -w 1", against("drain_p2_per_s"), ">= 0.95"),
        aim("bulk enqueue, jobs per second", ours.get("bulk_per_s"), ">= 20000"),
        aim("idle latency p50, ms", ours.get("p50_ms"), "<= 5"),
        aim("idle latency p99, ms", ours.get("p99_ms"), "<= 25"),
        aim("one job alone: statements", ours.get("alone_statements"), "<= 3"),
        aim("one job alone: durable commits", ours.get("alone_durable_commits"), "<= 1"),
        *aims[len(aims) - 4 :],
        aim("connections of an idle process", ours.get("sessions_idle"), "<= 2"),
        aim("connections at the peak, -w 1", ours.get("sessions_w1"), "<= 3"),
        aim("connections at the peak, -w 4", ours.get("sessions_w4"), "<= 6"),
        aim("connections at the peak, two processes", ours.get("sessions_p2"), "<= 6"),
    ]


def _times(rate: float | None, row: Row) -> float | None:
    other = row.get("drain_w1_per_s")
    return rate / other if rate and other else None
