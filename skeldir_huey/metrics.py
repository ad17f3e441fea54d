"""The worker's counters and histogram, in a registry of their own."""

from __future__ import annotations

import functools

from prometheus_client import CollectorRegistry, Counter, Histogram

BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10)

registry = CollectorRegistry()
_started = Counter("huey_task_started", "Attempts begun.", ["task_name"], registry=registry)
_success = Counter("huey_task_success", "Attempts that ended well.", ["task_name"], registry=registry)
_failure = Counter("huey_task_failure", "Attempts that errored.", ["task_name"], registry=registry)
_duration = Histogram(
    "huey_task_duration_seconds",
    "Run time of ended attempts, in seconds.",
    ["task_name"],
    buckets=BUCKETS_S,
    registry=registry,
)


# Looking a label up costs more than counting; there are as many names as tasks.
_started_of = functools.lru_cache(maxsize=1024)(_started.labels)
_success_of = functools.lru_cache(maxsize=1024)(_success.labels)
_failure_of = functools.lru_cache(maxsize=1024)(_failure.labels)
_duration_of = functools.lru_cache(maxsize=1024)(_duration.labels)


def task_started(name: str) -> None:
    """Count an attempt that begins."""
    _started_of(name).inc()


def task_succeeded(name: str, seconds: float) -> None:
    """Count an attempt that ended well after `seconds`."""
    _success_of(name).inc()
    _duration_of(name).observe(seconds)


def task_failed(name: str, seconds: float) -> None:
    """Count an attempt that errored after `seconds`."""
    _failure_of(name).inc()
    _duration_of(name).observe(seconds)
