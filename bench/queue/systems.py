"""The systems that are compared: how each is started, and how many jobs it gets."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS_BIN = Path(sys.executable).parent
PEERS_BIN = Path(os.environ.get("BENCH_PEERS_BIN") or ROOT / ".venv-bench" / "bin")
BASE = "sqlhuey"  # ratios are to this one

Command = Callable[[int, int], list[str]]  # (workers, number of the process) -> program and arguments


@dataclass(frozen=True)
class System:
    """One row of the table.

    Args:
        jobs: how many each way of draining gets (w1, w4, p2); a way that is missing does not exist for it.
        has_bulk: whether it can enqueue many at once.
    """

    key: str
    title: str
    module: str
    command: Command
    jobs: dict[str, int]
    has_bulk: bool = True
    ours: bool = False
    env: dict[str, str] = field(default_factory=dict)

    @property
    def bin(self) -> Path:
        """The folder of its programs."""
        return OURS_BIN if self.ours else PEERS_BIN


def _huey(face: str) -> Command:
    return lambda workers, _: ["huey_consumer", f"{face}.huey", "-w", str(workers)]


def _procrastinate(workers: int, _: int) -> list[str]:
    app = "--app=bench.queue.peers.procrastinate_app.app"
    return ["procrastinate", app, "--log-level", "info", "worker", "--concurrency", str(workers)]


def _pgqueuer(batch: int) -> Command:
    return lambda *_: ["python", "-m", "bench.queue.peers.pgqueuer_app", str(batch)]


def _celery(workers: int, index: int) -> list[str]:
    app = ["celery", "-A", "bench.queue.peers.celery_app", "worker", "-l", "INFO", "-n", f"w{index}@bench"]
    return [*app, "-P", "solo", "-c", "1"] if workers == 1 else [*app, "-P", "prefork", "-c", str(workers)]


def _jobs(one: int, four: int | None, two: int) -> dict[str, int]:
    return {"w1": one, "p2": two} | ({"w4": four} if four else {})


_PGQUEUER = "bench.queue.peers.pgqueuer_app"
SYSTEMS = {
    system.key: system
    for system in (
        System(
            "skeldir",
            "Skeldir Huey",
            "bench.queue.ours",
            _huey("bench.queue.ours"),
            _jobs(40_000, 40_000, 60_000),
            ours=True,
        ),
        System(
            "sqlhuey",
            "SqlHuey",
            "bench.queue.peers.sql_huey",
            _huey("bench.queue.peers.sql_huey"),
            _jobs(1500, 1500, 1500),
        ),
        System(
            "pghuey",
            "PostgresHuey",
            "bench.queue.peers.postgres_huey",
            _huey("bench.queue.peers.postgres_huey"),
            _jobs(3000, 3000, 3000),
            has_bulk=False,
        ),
        System(
            "procrastinate",
            "Procrastinate",
            "bench.queue.peers.procrastinate_app",
            _procrastinate,
            _jobs(1200, 1200, 1200),
        ),
        # It has no workers to choose: a batch is claimed at once and run as coroutines of one process.
        System("pgqueuer-1", "PgQueuer, batch 1", _PGQUEUER, _pgqueuer(1), _jobs(1500, None, 1500)),
        System("pgqueuer-10", "PgQueuer, batch 10", _PGQUEUER, _pgqueuer(10), _jobs(12_000, None, 16_000)),
        System("pgqueuer-100", "PgQueuer, batch 100", _PGQUEUER, _pgqueuer(100), _jobs(40_000, None, 60_000)),
        System(
            "celery",
            "Celery sqla+postgresql",
            "bench.queue.peers.celery_app",
            _celery,
            _jobs(150, 60, 200),
            has_bulk=False,
        ),
    )
}
