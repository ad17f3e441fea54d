"""Backfills as a pipeline: each day's run, when it is done, is followed by the step that asks for the next day."""

from __future__ import annotations

import uuid
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.attribution import backfills, runs, store
from skeldir_huey.attribution.backfills import Backfill
from skeldir_huey.db import engine
from skeldir_huey.db.retained import check_window
from skeldir_huey.errors import Conflict, InputError, NotFound
from skeldir_huey.log import get_log, redact
from skeldir_huey.queue import signals
from skeldir_huey.queue.instance import huey
from skeldir_huey.queue.jobs import Job
from skeldir_huey.tasks.attribution import RECOMPUTE_WINDOW, recompute_window
from skeldir_huey.tasks.base import tenant_task, transaction
from skeldir_huey.tasks.reports import refresh_all

BACKFILL_STEP = "skeldir.attribution.backfill_step"
LOOK_AGAIN_S = 2  # while somebody else's job does the day
MOST_DAYS = 3660  # ten years: a year with a digit too many is noticed

log = get_log("backfill")


def _key(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return str(kwargs.get("backfill_id"))


@tenant_task(name=BACKFILL_STEP, lane="attribution", unique=_key)
def backfill_step(*, tenant_id: UUID, backfill_id: str) -> None:
    """Note the days that are done, and ask for the run of the next one, which this step follows again."""
    again = {"tenant_id": tenant_id, "backfill_id": backfill_id}
    with transaction() as connection:
        found = _note(connection, backfills.read(connection, tenant_id, UUID(str(backfill_id)), lock=True))
        if found.status != "running":
            log.info("backfill_ended", backfill_id=str(found.id), status=found.status)
            if found.status == "succeeded":
                refresh_all(asked_by="run")
            return
        window = found.next_run()
        run, needed = runs.request(connection, window, found.correlation_id, "backfill")
        task = recompute_window.s(
            tenant_id=tenant_id,
            window_start=window.window_start.isoformat(),
            window_end=window.window_end.isoformat(),
            model_version=window.model_version,
        )
        task.then(backfill_step, **again)
        if needed:
            task_id = huey.enqueue_in(connection, task, correlation_id=found.correlation_id)
            runs.assign(connection, tenant_id, run.id, task_id)
            needed = task_id == task.id
        if not needed:
            backfill_step.schedule(kwargs=again, delay=LOOK_AGAIN_S)
    log.info("backfill_day", backfill_id=str(found.id), done_count=found.done_count, day_count=found.day_count)


def _note(connection: Connection, found: Backfill) -> Backfill:
    if found.status not in ("running", "failed"):
        return found
    while not found.is_done:
        window = found.next_run()
        try:
            run = runs.find(connection, window)
        except NotFound:
            break
        if run.status != "succeeded" or run.last_correlation_id != found.correlation_id:
            break
        found = backfills.change(connection, found, "running", window.window_end)
    # A step of a failed backfill comes from a replay of what failed: it goes on.
    return backfills.change(connection, found, "succeeded" if found.is_done else "running")


def start_backfill(tenant_id: object, range_start: object, range_end: object, model_version: str) -> Backfill:
    """Begin to recompute every day of a range, one after the other.

    Raises:
        InputError: names the field that is wrong; nothing was written.
    """
    identity = runs.identify(tenant_id, range_start, range_end, model_version)
    with engine.transaction(identity.tenant_id) as connection:
        return start_in(connection, identity)


def start_in(connection: Connection, identity: runs.Identity) -> Backfill:
    """Do the same on the caller's transaction.

    Raises:
        InputError: names the field that is wrong; nothing was written.
    """
    days = (identity.window_end - identity.window_start).days
    if days > MOST_DAYS:
        raise InputError("range_end", f"at most {MOST_DAYS:,} days at a time, each is a run: this is {days:,}")
    spec = store.read_version(connection, identity.tenant_id, identity.model_version)
    check_window(connection, identity.tenant_id, identity.window_start, spec.lookback_s)
    made = backfills.create(connection, identity, uuid.uuid4())
    _enqueue(connection, made)
    return made


def resume_backfill(tenant_id: UUID, backfill_id: UUID) -> Backfill:
    """Go on with a backfill that was cancelled or failed, at the first day that is not done.

    Raises:
        NotFound: the tenant has none of that id.
        Conflict: it is done. One that is running goes on as it is.
    """
    with engine.transaction(tenant_id) as connection:
        return resume_in(connection, tenant_id, backfill_id)


def resume_in(connection: Connection, tenant_id: UUID, backfill_id: UUID) -> Backfill:
    """Do the same on the caller's transaction; raises what `resume_backfill` does."""
    found = backfills.read(connection, tenant_id, backfill_id, lock=True)
    if found.status == "succeeded":
        raise Conflict(f"backfill {backfill_id} is done")
    found = backfills.change(connection, found, "running")
    _enqueue(connection, found)
    return found


def cancel_backfill(tenant_id: UUID, backfill_id: UUID) -> Backfill:
    """Stop a backfill after the day that is under way.

    Raises:
        NotFound: the tenant has none of that id.
        Conflict: it is done.
    """
    with engine.transaction(tenant_id) as connection:
        return cancel_in(connection, tenant_id, backfill_id)


def cancel_in(connection: Connection, tenant_id: UUID, backfill_id: UUID) -> Backfill:
    """Do the same on the caller's transaction; raises what `cancel_backfill` does."""
    found = backfills.read(connection, tenant_id, backfill_id, lock=True)
    if found.status == "succeeded":
        raise Conflict(f"backfill {backfill_id} is done")
    return backfills.change(connection, found, "cancelled")


def _enqueue(connection: Connection, found: Backfill) -> None:
    step = backfill_step.s(tenant_id=found.tenant_id, backfill_id=str(found.id))
    huey.enqueue_in(connection, step, correlation_id=found.correlation_id)


def _may_be_of_one(job: Job) -> bool:
    return job.task_name in (RECOMPUTE_WINDOW, BACKFILL_STEP)


def _stop(job: Job, why: str) -> None:
    if job.tenant_id is not None and job.correlation_id is not None:
        backfills.fail(job.connection_as(job.tenant_id), job.tenant_id, job.correlation_id, why)


@huey.signal(signals.DEAD)
def stop_backfill_of_dead_job(signal: str, job: Job, error_type: str, error: BaseException | None) -> None:
    """Stop the backfill in the transaction in which one of its jobs dies."""
    if _may_be_of_one(job):
        _stop(job, redact(str(error) if error else error_type)[:2000])


@huey.signal(signals.ENDED)
def stop_backfill_of_cancelled_job(signal: str, job: Job, state: str) -> None:
    """Stop the backfill in the transaction in which one of its jobs is cancelled."""
    if state == "cancelled":
        _stop(job, "a job of it was cancelled")


stop_backfill_of_cancelled_job.only = _may_be_of_one
