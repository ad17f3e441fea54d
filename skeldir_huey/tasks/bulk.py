"""Operations on many dead letters: asked for at the console, done here step by step, in the background."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import enter, rows
from skeldir_huey.log import get_log, redact
from skeldir_huey.queue import bulk_letters, signals
from skeldir_huey.queue.bulk_letters import BACKGROUND
from skeldir_huey.queue.instance import huey
from skeldir_huey.queue.jobs import Job
from skeldir_huey.queue.storage import statement
from skeldir_huey.tasks.base import task, transaction

BULK_STEP = "skeldir.maintenance.bulk_step"

log = get_log("bulk")


def _key(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return str(kwargs.get("operation_id"))


@task(name=BULK_STEP, lane="maintenance", unique=_key, priority=BACKGROUND, retries=5, retry_delay=2)
def bulk_step(*, operation_id: str) -> str:
    """Do the next 200 letters of an operation, and ask for the step after it: both happen, or neither.

    Returns:
        The operation's state after the step.
    """
    with transaction() as connection:
        enter(connection, None, "app_rw")
        done = bulk_letters.step(connection, UUID(operation_id), huey._registry.knows)
        if done.state == "running":
            bulk_step.schedule(kwargs={"operation_id": operation_id}, delay=done.delay_s)
    log.info("bulk_step", operation_id=operation_id, state=done.state)
    return done.state


def start_in(connection: Connection, operation_id: UUID) -> str:
    """Enqueue the next step of an operation on the caller's transaction, unless one is there; returns its task id.

    Args:
        connection: acting as a role that may add jobs without a tenant.
    """
    # By its correlation id the operation is known even of a step whose message nobody could read.
    return huey.enqueue_in(connection, bulk_step.s(operation_id=str(operation_id)), correlation_id=operation_id)


def _is_step(job: Job) -> bool:
    return job.task_name == BULK_STEP


def _stop(job: Job, why: str) -> None:
    connection = job.connection_as(None)
    rows(connection, statement("bulk_stop"), {"id": job.correlation_id, "why": why})


@huey.signal(signals.DEAD)
def stop_operation_of_dead_step(signal: str, job: Job, error_type: str, error: BaseException | None) -> None:
    """Stop the operation in the transaction in which a step of it dies."""
    if _is_step(job):
        _stop(job, redact(str(error) if error else error_type)[:2000])


@huey.signal(signals.ENDED)
def stop_operation_of_cancelled_step(signal: str, job: Job, state: str) -> None:
    """Stop the operation in the transaction in which a step of it is cancelled."""
    if state == "cancelled":
        _stop(job, "a step of it was cancelled")


stop_operation_of_cancelled_step.only = _is_step
