"""Ties metrics and monitor to the queue: what happens to jobs is counted, and a consumer serves the counts."""

from __future__ import annotations

from typing import Any

from huey import signals as S
from huey.api import Huey, Task

from skeldir_huey import metrics
from skeldir_huey.config import settings
from skeldir_huey.db import urls
from skeldir_huey.observability import monitor
from skeldir_huey.observability.workers import Workers
from skeldir_huey.queue.consumer import SkeldirConsumer


def count(signal: str, task: Task, *_: Any) -> None:
    """Count one signal of Huey. A failed attempt counts as a failure, also when a retry follows."""
    name = task.name
    if signal == S.SIGNAL_EXECUTING:
        metrics.task_started(name, getattr(task, "claim", None))
    elif signal == S.SIGNAL_COMPLETE:
        metrics.task_succeeded(name, getattr(task, "run_s", 0.0))
    elif signal == S.SIGNAL_RETRYING:
        metrics.count("huey_task_retry", name)
    else:
        metrics.task_failed(name, getattr(task, "run_s", 0.0))


def serve(consumer: SkeldirConsumer) -> None:
    """Start the monitor of this consumer where the settings say. Called before its workers start."""
    given = settings()
    workers = Workers(consumer)
    metrics.store.gauges |= {"huey_workers": workers.count, "huey_workers_stuck": workers.stuck}
    monitor.start(
        given.worker_metrics_addr,
        given.worker_metrics_port,
        lambda: urls.dsn_of("worker"),
        workers=workers,
        periodic=lambda: _periodic_names(consumer.huey),
    )


def _periodic_names(huey: Any) -> list[str]:
    return [huey._registry.task_to_string(type(task)) for task in huey._registry.periodic_tasks]


def watch(huey: Huey) -> None:
    """Count the jobs of this queue, and serve the counts from its consumers."""
    huey.signal(S.SIGNAL_EXECUTING, S.SIGNAL_COMPLETE, S.SIGNAL_ERROR, S.SIGNAL_TIMEOUT, S.SIGNAL_RETRYING)(count)
    huey.on_consumer_start.append(serve)
