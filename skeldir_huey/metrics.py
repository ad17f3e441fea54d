"""Metrics: one table of all of them, and what this process has counted.

Counting is on the path of every job, so it only appends to a list; what was appended is added up at a scrape, or when
the list is long. Children of a consumer send their sums to it, see observability/relay.py.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from skeldir_huey.parsers import LANES

OTHER = "other"
DURATION_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 60, 600)
WAIT_S = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600)
LONG = 1_000  # so many attempts are added up without waiting for a scrape
DURATION = "huey_task_duration_seconds"


@dataclass(frozen=True)
class Row:
    """One metric. `scope` process: sum over the consumers; database: the same from each of them, take the maximum."""

    name: str
    type: str
    labels: tuple[str, ...]
    unit: str
    scope: str
    help: str
    bounds: tuple[float, ...] = ()


TABLE: tuple[Row, ...] = (
    Row("huey_task_started", "counter", ("task_name",), "attempts", "process", "Attempts begun."),
    Row("huey_task_success", "counter", ("task_name",), "attempts", "process", "Attempts that ended well."),
    Row("huey_task_failure", "counter", ("task_name",), "attempts", "process", "Attempts that errored or timed out."),
    Row("huey_task_retry", "counter", ("task_name",), "attempts", "process", "Failed attempts that another follows."),
    Row(
        DURATION,
        "histogram",
        ("task_name",),
        "seconds",
        "process",
        "Run time of ended attempts.",
        DURATION_S,
    ),
    Row(
        "huey_task_wait_seconds",
        "histogram",
        ("lane",),
        "seconds",
        "process",
        "From when a job was due to its claim.",
        WAIT_S,
    ),
    Row("huey_jobs_rescued", "counter", (), "jobs", "process", "Jobs of dead consumers that were given back."),
    Row("huey_jobs_fenced", "counter", (), "jobs", "process", "Late ends of jobs that were no longer ours: no effect."),
    Row("huey_jobs_dead", "counter", ("error_type",), "jobs", "process", "Jobs that are dead, for whatever reason."),
    Row("huey_workers", "gauge", (), "workers", "process", "Workers of this consumer."),
    Row("huey_workers_stuck", "gauge", (), "workers", "process", "Of these, held by a task past its timeout."),
    Row("huey_queue_depth", "gauge", ("lane",), "jobs", "database", "Jobs not ended: waiting, scheduled, running."),
    Row("huey_queue_running", "gauge", ("lane",), "jobs", "database", "Jobs that consumers hold."),
    Row("huey_queue_oldest_seconds", "gauge", ("lane",), "seconds", "database", "How long the oldest has waited."),
    Row("huey_lane_paused", "gauge", ("lane",), "1 or 0", "database", "1 while the whole lane is paused."),
    Row("huey_dead_letters_open", "gauge", (), "letters", "database", "Dead letters pending or in progress."),
    Row("huey_consumers", "gauge", (), "processes", "database", "Consumer processes with a fresh heartbeat."),
    Row("huey_notify_available", "gauge", (), "1 or 0", "database", "1 while each of them hears NOTIFY."),
    Row("huey_tick_lag_seconds", "gauge", (), "seconds", "database", "How late the latest periodic task is."),
    Row("skeldir_runs", "counter", ("outcome",), "runs", "process", "Runs that ended, succeeded or failed."),
    Row("skeldir_run_events", "counter", (), "events", "process", "Conversions that succeeded runs looked at."),
    Row("skeldir_run_allocations", "counter", (), "rows", "process", "Allocations that succeeded runs wrote."),
    Row("skeldir_ingest_events", "counter", ("outcome",), "events", "database", "Accepted, duplicate or refused."),
    Row("skeldir_matview_age_seconds", "gauge", ("view",), "seconds", "database", "Of its data; 0: no input changed."),
    Row(
        "skeldir_matview_refresh_seconds", "gauge", ("view",), "seconds", "database", "How long its last refresh took."
    ),
    Row("skeldir_matview_refresh_ok", "gauge", ("view",), "1 or 0", "database", "0 when its last refresh failed."),
    Row("skeldir_database_read", "gauge", (), "1 or 0", "process", "1 when the rows of scope database could be read."),
)
ROWS = {row.name: row for row in TABLE}

# Task and view names are added by whoever registers them; anything else is "other". Never a tenant: they have no end.
_allowed: dict[str, set[str]] = {
    "lane": set(LANES),
    "task_name": set(),
    "view": set(),
    "outcome": {"succeeded", "failed", "accepted", "duplicate", "refused"},
    "error_type": {"transient", "permanent", "timeout", "worker_lost", "expired", "unknown_task"},
}

Key = tuple[str, tuple[str, ...]]
Delta = tuple[str, tuple[str, ...], float, list[int]]  # name, label values, sum, counts per bucket


def allow(label: str, values: Collection[str]) -> None:
    """Let these values of a label appear as they are."""
    _allowed[label].update(values)


def allowed(label: str) -> list[str]:
    """Return the values of a label that may appear."""
    return sorted(_allowed[label])


def bounded(row: Row, values: Iterable[Any]) -> tuple[str, ...]:
    """Return the label values of a metric, with "other" for those that nobody announced."""
    pairs = zip(row.labels, values, strict=True)
    return tuple(value if value in _allowed[label] else OTHER for label, value in pairs)


class Cell:
    """The sum of one metric for one set of label values; `counts` per bucket for a histogram."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.total = 0.0
        self.counts = [0] * (len(bounds) + 1) if bounds else []

    def observe(self, seconds: float) -> None:
        self.total += seconds
        self.counts[bisect_left(self.bounds, seconds)] += 1


class Store(Collector):
    """Sums of what this process, and its children, have counted."""

    def __init__(self) -> None:
        self.gauges: dict[str, Callable[[], float]] = {}
        self.forget()

    def forget(self) -> None:
        """Begin again at nothing: in a forked child, whose parent keeps what it had counted."""
        self._lock = threading.Lock()
        self.begun: deque[tuple[str, Any]] = deque()
        self.ended: deque[tuple[str, str, float]] = deque()
        self._cells: dict[Key, Cell] = {}
        self._found: dict[tuple[Any, ...], Cell] = {}  # by values as they come: unbounded, so it is emptied when long
        self.gauges.clear()

    def settle(self) -> None:
        """Add up what was noted so far."""
        with self._lock:
            self._settle()

    def _settle(self) -> None:
        find = self._found
        for _ in range(len(self.begun)):
            task_name, claim = self.begun.popleft()
            cell = find.get(("huey_task_started", task_name)) or self._find("huey_task_started", task_name)
            cell.total += 1
            if claim is not None:
                due = claim.run_at if claim.run_at > claim.enqueued_at else claim.enqueued_at
                cell = find.get(("huey_task_wait_seconds", claim.lane)) or self._find(
                    "huey_task_wait_seconds", claim.lane
                )
                cell.observe(max(0.0, (claim.claimed_at - due).total_seconds()))
        for _ in range(len(self.ended)):
            metric, task_name, seconds = self.ended.popleft()
            cell = find.get((metric, task_name)) or self._find(metric, task_name)
            cell.total += 1
            cell = find.get((DURATION, task_name)) or self._find(DURATION, task_name)
            cell.observe(seconds)

    def _find(self, name: str, *values: str) -> Cell:
        if len(self._found) > LONG:
            self._found.clear()
        key = (name, bounded(ROWS[name], values))
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = Cell(ROWS[name].bounds)
        return self._found.setdefault((name, *values), cell)

    def count(self, name: str, values: tuple[str, ...], amount: float) -> None:
        """Add to a counter."""
        with self._lock:
            self._find(name, *values).total += amount

    def observe(self, name: str, values: tuple[str, ...], seconds: float) -> None:
        """Add one observation to a histogram."""
        with self._lock:
            self._find(name, *values).observe(seconds)

    def take(self) -> list[Delta]:
        """Return everything counted so far, and begin again at nothing."""
        with self._lock:
            self._settle()
            cells, self._cells, self._found = self._cells, {}, {}
        return [(name, values, cell.total, cell.counts) for (name, values), cell in cells.items()]

    def add(self, name: str, values: Iterable[str], total: float, counts: Iterable[int]) -> None:
        """Add what another process counted."""
        with self._lock:
            cell = self._find(name, *values)
            cell.total += total
            for place, number in enumerate(counts):
                cell.counts[place] += number

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            self._settle()
            cells = [(key, cell.total, list(cell.counts)) for key, cell in self._cells.items()]
        for row in TABLE:
            if row.scope == "process":
                yield self._family(row, [cell for cell in cells if cell[0][0] == row.name])

    def _family(self, row: Row, cells: list[tuple[Key, float, list[int]]]) -> Metric:
        made = family(row)
        if row.type == "gauge" and row.name in self.gauges:
            made.add_metric([], self.gauges[row.name]())
        for values in _from_the_start(row) - {key[1] for key, *_ in cells}:
            made.add_metric(list(values), 0)
        for (_, values), total, counts in cells:
            if row.type == "histogram":
                made.add_metric(list(values), _cumulative(row.bounds, counts), total)
            else:
                made.add_metric(list(values), total)
        return made


def _from_the_start(row: Row) -> set[tuple[str, ...]]:
    """Return the label values that a counter shows before its first event, so that it has a rate from the start."""
    if row.type != "counter" or "task_name" in row.labels:
        return set()
    if row.name == "skeldir_runs":
        return {("succeeded",), ("failed",)}
    return {(value,) for value in _allowed[row.labels[0]]} if row.labels else {()}


def family(row: Row) -> Any:
    """Return the metric family of a row, still empty."""
    kind = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}[row.type]
    return kind(row.name, row.help, labels=row.labels)


def _cumulative(bounds: tuple[float, ...], counts: list[int]) -> list[tuple[str, float]]:
    names = [*(str(float(bound)) for bound in bounds), "+Inf"]
    total = 0
    made = []
    for name, count in zip(names, counts, strict=True):
        total += count
        made.append((name, float(total)))
    return made


store = Store()


def task_started(name: str, claim: Any = None) -> None:
    """Count an attempt that begins, and how long its job has waited for it."""
    store.begun.append((name, claim))
    if len(store.begun) > LONG:
        store.settle()


def task_succeeded(name: str, seconds: float) -> None:
    """Count an attempt that ended well after `seconds`."""
    store.ended.append(("huey_task_success", name, seconds))


def task_failed(name: str, seconds: float) -> None:
    """Count an attempt that errored after `seconds`."""
    store.ended.append(("huey_task_failure", name, seconds))


def count(name: str, *values: str, amount: float = 1) -> None:
    """Add to a counter of the table."""
    store.count(name, values, amount)


def observe(name: str, *values: str, seconds: float) -> None:
    """Add one observation to a histogram of the table."""
    store.observe(name, values, seconds)
