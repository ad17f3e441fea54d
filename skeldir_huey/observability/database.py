"""What the tables know, for /metrics: read when somebody scrapes, at most every few seconds, never waited for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

import psycopg2
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from skeldir_huey.config import settings
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.log import get_log
from skeldir_huey.metrics import ROWS, TABLE, allowed, bounded, family
from skeldir_huey.observability.reading import reading

log = get_log("observability.database")

REMEMBER_S = 5.0
DEADLINE_S = 3.0

# Each statement, and the metrics that its columns after the labels are.
STATEMENTS: dict[str, tuple[str, ...]] = {
    "watch_lanes": ("huey_queue_depth", "huey_queue_running", "huey_queue_oldest_seconds", "huey_lane_paused"),
    "watch_consumers": ("huey_consumers", "huey_notify_available"),
    "watch_ticks": ("huey_tick_lag_seconds",),
    "watch_letters": ("huey_dead_letters_open",),
    "watch_ingest": ("skeldir_ingest_events",),
    "watch_views": ("skeldir_matview_age_seconds", "skeldir_matview_refresh_seconds", "skeldir_matview_refresh_ok"),
}

Sample = tuple[str, tuple[str, ...], float]


class DatabaseMetrics(Collector):
    """Every metric of scope database. When the database does not answer, they are absent and one says so.

    Args:
        dsn: returns the worker's libpq URL.
        periodic: returns the names of the periodic tasks that this consumer knows.
    """

    def __init__(self, dsn: Callable[[], str], periodic: Callable[[], Collection[str]] = tuple) -> None:
        self._dsn = dsn
        self._periodic = periodic
        self._lock = threading.Lock()
        self._known: list[Sample] = []
        self._complete = False
        self._known_until = 0.0

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            if time.monotonic() >= self._known_until:
                self._known, error = self._ask()
                if error is not None and (self._complete or not self._known_until):
                    log.warning("metrics_not_read", error=str(error).strip() or type(error).__name__)
                self._complete = error is None
                self._known_until = time.monotonic() + REMEMBER_S
            known, complete = self._known, self._complete
        for row in TABLE:
            if row.scope == "database":
                made = family(row)
                for name, values, value in known:
                    if name == row.name:
                        made.add_metric(list(bounded(row, values)), value)
                yield made
        read = family(ROWS["skeldir_database_read"])
        read.add_metric([], float(complete))
        yield read

    def _ask(self) -> tuple[list[Sample], Exception | None]:
        found: list[Sample] = []
        problem: Exception | None = None
        try:
            parameters = {
                "names": list(self._periodic()),
                "views": allowed("view"),
                "frozen_after_s": settings().frozen_after_s,
            }
            with reading(self._dsn(), DEADLINE_S) as reader:
                reader.read("set local role app_rw")
                for statement, metrics in STATEMENTS.items():
                    reader.read("savepoint one")
                    try:
                        lines = reader.read(sql("observability", statement), parameters)
                    except psycopg2.Error as error:  # a locked table costs its own numbers only
                        problem = error
                        reader.read("rollback to savepoint one")
                        continue
                    found += [sample for line in lines for sample in _samples(metrics, line)]
        except Exception as error:
            return [], error
        return found, problem


def _samples(metrics: tuple[str, ...], line: tuple[Any, ...]) -> Iterator[Sample]:
    labels = len(ROWS[metrics[0]].labels)
    for name, value in zip(metrics, line[labels:], strict=True):
        if value is not None:
            yield name, line[:labels], float(value)
