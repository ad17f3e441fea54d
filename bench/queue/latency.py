"""From the call of enqueue to the task's first line on an idle consumer, and what an idle consumer costs."""

from __future__ import annotations

import math
import time
from typing import Any

from bench.queue import machine
from bench.queue.server import Server
from bench.queue.systems import System
from bench.queue.trial import Trial

WARM = 3
IDLE_S = 2.0
SETTLED_S = 8.0  # until then an idle consumer has closed what it does not need; ours does after 5 s


def percentile(values: list[float], percent: float) -> float:
    """Return the nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def latency(server: Server, system: System, jobs: int, seconds: float, patience_s: float) -> dict[str, Any]:
    """Measure single jobs, fewer when `seconds` are over first; then sessions, memory and CPU of the idle consumer."""
    with Trial(server, system) as trial:
        probe = machine.calm(server.folder, patience_s)
        process = trial.consume(1)
        trial.produce("one", -WARM, WARM)
        trial.until_noted(WARM, 60)
        found = trial.produce("latency", 0, jobs, seconds)["latencies_ms"]
        time.sleep(min(SETTLED_S, patience_s))  # whoever was just woken sits down again
        began, used = time.monotonic(), trial.cpu_s()
        sessions = 0
        while time.monotonic() - began < IDLE_S:
            sessions = max(sessions, trial.server.clients(trial.database))
            time.sleep(0.1)
        memory, processes = machine.memory_mb([process.pid])
        return {
            "system": system.key,
            **vars(probe),
            "count": len(found),
            "p50_ms": percentile(found, 50),
            "p95_ms": percentile(found, 95),
            "p99_ms": percentile(found, 99),
            "max_ms": max(found),
            "sessions_idle": sessions,
            "processes": processes,
            "rss_mb": memory,
            "idle_cpu_percent": (trial.cpu_s() - used) / (time.monotonic() - began) * 100,
        }
