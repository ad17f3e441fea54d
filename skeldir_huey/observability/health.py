"""Whether database, queue and workers answer, found out within a deadline whatever state the server is in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from skeldir_huey.observability.reading import reading

DEADLINE_S = 3.0
REMEMBER_S = 0.5

# What a claim needs: the worker's login, the role app_rw, and the table of jobs.
QUEUE_STATEMENT = "select from huey.job where lane = 'housekeeping' and state = 'waiting' limit 1"


def _no_workers_held() -> bool:
    return False


@dataclass(frozen=True)
class Health:
    """`broker` is the queue, `database` the server behind it, `workers` that at least one can take a job."""

    broker: bool
    database: bool
    workers: bool = True

    @property
    def ok(self) -> bool:
        return self.broker and self.database and self.workers

    def as_dict(self) -> dict[str, str]:
        """Return what /health answers."""
        words = {True: "ok", False: "unavailable"}
        return {
            "status": words[self.ok],
            "broker": words[self.broker],
            "database": words[self.database],
            "workers": words[self.workers],
        }


class Checker:
    """Asks the database, one question at a time however many ask, and remembers the answer for half a second.

    Args:
        dsn: returns the worker's libpq URL.
        broker_check: a statement that works as app_rw when the queue does.
        all_stuck: says whether every worker is held by a task past its timeout.
    """

    def __init__(
        self,
        dsn: Callable[[], str],
        broker_check: str = QUEUE_STATEMENT,
        all_stuck: Callable[[], bool] = _no_workers_held,
    ) -> None:
        self._dsn = dsn
        self._broker_check = broker_check
        self._all_stuck = all_stuck
        self._lock = threading.Lock()
        self._known: Health | None = None
        self._known_until = 0.0

    def health(self) -> Health:
        """Return the present state; takes at most 3 seconds and raises nothing."""
        with self._lock:
            if self._known is None or time.monotonic() >= self._known_until:
                self._known = self._ask()
                self._known_until = time.monotonic() + REMEMBER_S
            return self._known

    def _ask(self) -> Health:
        database = broker = False
        workers = not self._all_stuck()
        try:
            with reading(self._dsn(), DEADLINE_S) as reader:
                database = True
                reader.read(f"set local role app_rw; {self._broker_check}; rollback")
                broker = True
        except Exception:  # whatever it is, the answer is no: a monitor that fails must not look healthy  # nosec B110
            pass
        return Health(broker=broker, database=database, workers=workers)
