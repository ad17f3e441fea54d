"""Rows of `huey.job` made from Huey's task objects."""

from __future__ import annotations

import uuid
from typing import Any
from uuid import UUID

import sqlalchemy.orm
from huey.api import Task
from sqlalchemy.engine import Connection

from skeldir_huey.errors import InputError, QueueError
from skeldir_huey.log import bound_correlation
from skeldir_huey.queue import lanes
from skeldir_huey.queue.jobs import current_job
from skeldir_huey.queue.storage import utc
from skeldir_huey.queue.task_settings import check_call_settings
from skeldir_huey.tenancy import parse_uuid


def check_task(task: Any) -> None:
    """Refuse what is not one task.

    Raises:
        QueueError: it is a group or a chord, say: `huey.enqueue` adds those, inside a job all or nothing.
    """
    if not isinstance(task, Task):
        raise QueueError(f"expected a task made by .s(…), got a {type(task).__name__}: only huey.enqueue takes that")


def connection_of(given: Any) -> Connection:
    """Return the caller's connection, that of a session when one was given.

    Raises:
        QueueError: it is neither.
    """
    if isinstance(given, (sqlalchemy.orm.Session, sqlalchemy.orm.scoped_session)):
        given = given.connection()
    if not isinstance(given, Connection):
        raise QueueError(f"connection: expected a connection or session of SQLAlchemy, got a {type(given).__name__}")
    return given


def row_of(
    task: Task,
    message: bytes,
    task_name: str,
    *,
    tick_key: str | None = None,
    letter_id: UUID | None = None,
    correlation_id: UUID | None = None,
) -> dict[str, Any]:
    """Return the row that enqueues a task.

    The tenant is the `tenant_id` argument of the task. Inside a job the correlation id is that job's, and the tenant
    must be that job's tenant or none. Elsewhere the correlation id is the one bound to the log, as in a web request.

    Raises:
        InputError: tenant_id is no uuid, is missing where the task needs it, or is another tenant's.
        QueueError: a setting of the call, or its unique key, could not work.
    """
    kind = type(task)
    check_call_settings(task_name, task)
    tenant = task.kwargs.get("tenant_id")
    tenant_id = None if tenant is None else parse_uuid(tenant, "tenant_id")
    check = getattr(kind, "check_call", None)
    if check is not None:
        check(task.kwargs)
    parent = current_job.get()
    if parent is not None and parent.tenant_id is not None and tenant_id not in (None, parent.tenant_id):
        raise InputError("tenant_id", f"a job of tenant {parent.tenant_id} cannot enqueue one of tenant {tenant_id}")
    if correlation_id is None:
        correlation_id = parent.correlation_id if parent is not None else bound_correlation()
    unique = getattr(kind, "unique", None)
    unique_key = unique(task.args, task.kwargs) if unique is not None else None
    if unique_key is not None and not isinstance(unique_key, str):
        raise QueueError(f"unique: {task_name} needs a key that is text, or None, got a {type(unique_key).__name__}")
    return {
        "task_id": task.id,
        "lane": getattr(kind, "lane", lanes.DEFAULT),
        "priority": task.priority or 0,
        "task_name": task_name,
        "tenant_id": tenant_id,
        "correlation_id": correlation_id or uuid.uuid4(),
        "message": message,
        "run_at": utc(task.eta) if task.eta else None,
        "now": None,
        "tick_key": tick_key,
        "unique_key": unique_key,
        "letter_id": letter_id,
        "from_producer": True,
    }
