"""Runs as jobs: scheduling one, executing it, following its job's end, and turning dirty ranges into runs."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from huey import crontab
from sqlalchemy.engine import Connection

from skeldir_huey import metrics
from skeldir_huey.attribution import dirty, runs, store
from skeldir_huey.attribution.recompute import recompute
from skeldir_huey.attribution.types import Run
from skeldir_huey.config import settings
from skeldir_huey.db import engine
from skeldir_huey.db.retained import check_window
from skeldir_huey.errors import InputError
from skeldir_huey.log import bound_correlation, get_log, redact
from skeldir_huey.queue import dead_letters, signals
from skeldir_huey.queue.instance import huey
from skeldir_huey.queue.jobs import Job, current_job
from skeldir_huey.tasks.base import periodic, tenant_task, transaction
from skeldir_huey.tasks.reports import refresh_all
from skeldir_huey.tenancy import parse_uuid

RECOMPUTE_WINDOW = "skeldir.attribution.recompute_window"
RECOMPUTE_VERSIONS = "skeldir.attribution.recompute_versions"  # see tasks.versions

log = get_log("attribution")

_WINDOW = ("window_start", "window_end", "model_version")


def _key(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return "/".join(str(kwargs.get(name)) for name in _WINDOW)


@tenant_task(name=RECOMPUTE_WINDOW, lane="attribution", unique=_key)
def recompute_window(
    *, tenant_id: UUID, window_start: str, window_end: str, model_version: str, fail: bool = False
) -> None:
    """Execute a run. `schedule_recompute_window` is the way to ask for one.

    Args:
        window_start, window_end: ISO-8601 with a zone, half-open.
        fail: raise after the run is marked running; only where SKELDIR_TEST_TASKS=1, elsewhere it is not looked at.

    Raises:
        InputError: an argument is wrong or the version is unknown.
        RuntimeError: when asked to.
    """
    identity = runs.identify(tenant_id, window_start, window_end, model_version)
    job = current_job.get()
    with transaction(commit=True) as connection:
        store.read_version(connection, tenant_id, model_version)
        run = runs.start(connection, identity, job.task_id if job else None, job.correlation_id if job else None)
    log.info("run_started", run_id=str(run.id), model_version=model_version)
    if fail and settings().test_tasks:
        raise RuntimeError("attribution recompute failure requested")
    with transaction() as connection:
        run = recompute(connection, tenant_id, run.id)
    count_runs([run])
    log.info(
        "run_computed",
        run_id=str(run.id),
        model_version=model_version,
        conversion_count=run.conversion_count,
        allocation_count=run.allocation_count,
        changed_count=run.changed_count,
    )


def count_runs(ended: Sequence[Run]) -> None:
    """Count runs that succeeded, once the job that did them is settled: one that was fenced did nothing."""
    job = current_job.get()
    if job is not None:
        job.committed.append(functools.partial(_count_runs, ended))


def _count_runs(ended: Sequence[Run]) -> None:
    for run in ended:
        metrics.count("skeldir_runs", "succeeded")
        metrics.count("skeldir_run_events", amount=run.conversion_count or 0)
        metrics.count("skeldir_run_allocations", amount=run.allocation_count or 0)


def schedule_recompute_window(
    tenant_id: UUID | str,
    window_start: object,
    window_end: object,
    model_version: str,
    correlation_id: UUID | str | None = None,
    *,
    fail: bool = False,
    reason: str = "asked",
) -> Run:
    """Ask for a run: its row and its job are written in one transaction.

    When the run is pending or running already, it is returned as it is and no second job is made. After the run, the
    materialized views are refreshed.

    Args:
        window_start, window_end: aware datetimes or ISO-8601 with a zone; the window is half-open, [start, end).
        model_version: name@version of the tenant.
        correlation_id: of what follows from this; None makes a new one, or takes that of the job this is called in.
        fail: let the job fail; only where SKELDIR_TEST_TASKS=1.
        reason: who wants it: asked (somebody), dirty (late data) or backfill.

    Returns:
        the run.

    Raises:
        InputError: names the field that is wrong; nothing was written.
    """
    identity = runs.identify(tenant_id, window_start, window_end, model_version)
    of_all = correlation() if correlation_id is None else parse_uuid(correlation_id, "correlation_id")
    with engine.transaction(identity.tenant_id) as connection:
        return ask_for_run(connection, identity, of_all, fail=fail, reason=reason)[0]


def ask_for_run(
    connection: Connection, identity: runs.Identity, correlation_id: UUID, *, fail: bool = False, reason: str = "asked"
) -> tuple[Run, bool]:
    """Do the same on the caller's transaction; returns the run, and whether a job was made for it.

    Raises:
        InputError: names the field that is wrong; nothing was written.
    """
    if fail and not settings().test_tasks:
        raise InputError("fail", "a run fails on request only where SKELDIR_TEST_TASKS=1")
    spec = store.read_version(connection, identity.tenant_id, identity.model_version)
    check_window(connection, identity.tenant_id, identity.window_start, spec.lookback_s)
    run, needed = runs.request(connection, identity, correlation_id, reason)
    if not needed:
        return run, False
    task = recompute_window.s(
        tenant_id=identity.tenant_id,
        window_start=identity.window_start.isoformat(),
        window_end=identity.window_end.isoformat(),
        model_version=identity.model_version,
        **({"fail": True} if fail else {}),
    )
    task.then(refresh_all, asked_by="run")
    task_id = huey.enqueue_in(connection, task, correlation_id=correlation_id)
    return runs.assign(connection, identity.tenant_id, run.id, task_id), True


def correlation() -> UUID:
    """Return the correlation id of what this process is doing, else a new one."""
    parent = current_job.get()
    inherited = parent.correlation_id if parent is not None else bound_correlation()
    return inherited or uuid.uuid4()


@periodic(crontab(), name="skeldir.attribution.recompute_dirty", lane="attribution")
def recompute_dirty() -> None:
    """Ask for a run of one dirty window of each tenant, of its published version, that which waits longest."""
    with engine.transaction(None, role="app_rw") as connection:
        tenants = dirty.dirty_tenants(connection)
    for tenant_id in tenants:
        with engine.transaction(tenant_id) as connection:
            window = dirty.next_window(connection, tenant_id)
        if window is not None:
            run = schedule_recompute_window(
                tenant_id, window.window_start, window.window_end, window.model_version, reason="dirty"
            )
            log.info("dirty_window_scheduled", tenant_id=str(tenant_id), run_id=str(run.id))


def _is_run(job: Job) -> bool:
    return job.task_name in (RECOMPUTE_WINDOW, RECOMPUTE_VERSIONS)


def _fail_run(job: Job, why: str) -> None:
    if job.tenant_id is not None:
        failed = runs.fail(job.connection_as(job.tenant_id), job.tenant_id, job.task_id, why)
        job.committed.append(functools.partial(metrics.count, "skeldir_runs", "failed", amount=failed))


def replay_run(
    connection: Connection, task_name: str, tenant_id: UUID | None, kwargs: dict[str, Any], task_id: str
) -> None:
    """Make the runs of a job pending again in the transaction in which its dead letter is replayed."""
    if task_name not in (RECOMPUTE_WINDOW, RECOMPUTE_VERSIONS) or tenant_id is None:
        return
    versions = kwargs.get("model_versions") if task_name == RECOMPUTE_VERSIONS else [kwargs.get("model_version")]
    try:
        asked = [
            runs.identify(tenant_id, kwargs.get("window_start"), kwargs.get("window_end"), version)
            for version in versions or ()
        ]
    except InputError:
        return  # its job will fail for the same reason
    for identity in asked:
        runs.replayed(connection, identity, task_id)


dead_letters.on_replay.append(replay_run)


@huey.signal(signals.DEAD)
def fail_run_of_dead_job(signal: str, job: Job, error_type: str, error: BaseException | None) -> None:
    """Mark the runs of a job failed in the transaction in which it dies."""
    if _is_run(job):
        _fail_run(job, redact(str(error) if error else error_type)[:2000])


@huey.signal(signals.ENDED)
def fail_run_of_cancelled_job(signal: str, job: Job, state: str) -> None:
    """Mark the runs of a job failed in the transaction in which it is cancelled. A job that is done did it itself."""
    if state == "cancelled":
        _fail_run(job, "the job was cancelled")


fail_run_of_cancelled_job.only = _is_run
