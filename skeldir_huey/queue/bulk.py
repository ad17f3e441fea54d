"""Many jobs at once: one `INSERT … SELECT unnest(…)` per task and tenant. COPY is refused under row security."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from huey.api import Task
from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.errors import QueueError
from skeldir_huey.queue.arrays import array
from skeldir_huey.queue.jobs import current_job
from skeldir_huey.queue.rows import check_task
from skeldir_huey.queue.storage import statement

if TYPE_CHECKING:
    from skeldir_huey.queue.executor import SkeldirHuey

BATCH = 1000


def enqueue_many(huey: SkeldirHuey, tasks: Iterable[Task], connection: Connection | None) -> int:
    """Add jobs, at most 1,000 per statement; returns how many were added. See `SkeldirHuey.enqueue_many`.

    Raises:
        QueueError: a task has a unique key, or this is called inside a job without its connection.
    """
    if connection is None and current_job.get() is not None:
        raise QueueError("enqueue_many inside a job needs the job's connection: its children are settled with it")
    added = 0
    for same, group in itertools.groupby(_rows_of(huey, tasks), key=lambda row: (row["task_name"], row["tenant_id"])):
        while batch := list(itertools.islice(group, BATCH)):
            parameters = _parameters(same, batch)
            found = (
                huey.storage.run(statement("enqueue_many"), parameters)
                if connection is None
                else rows(connection, statement("enqueue_many"), parameters)
            )
            added += int(found[0]["n"])
    return added


def _rows_of(huey: SkeldirHuey, tasks: Iterable[Task]) -> Iterable[dict[str, Any]]:
    correlation_id = uuid.uuid4()
    for task in tasks:
        check_task(task)
        if task.expires:
            task.resolve_expires(huey.utc)
        parent = current_job.get()
        row = huey.row_of(task, correlation_id=parent.correlation_id if parent else correlation_id)
        if row["unique_key"] is not None:
            raise QueueError(f"{row['task_name']} has a unique key: enqueue its jobs one by one")
        yield row


def _parameters(same: tuple[str, Any], batch: list[dict[str, Any]]) -> dict[str, Any]:
    task_name, tenant_id = same
    return {
        "lane": batch[0]["lane"],
        "task_name": task_name,
        "tenant_id": tenant_id,
        "correlation_id": batch[0]["correlation_id"],
        "task_ids": array(row["task_id"] for row in batch),
        "messages": array(row["message"] for row in batch),
        "priorities": array(row["priority"] for row in batch),
        "run_ats": array(row["run_at"] for row in batch),
        "now": None,
    }
