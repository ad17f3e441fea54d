"""One execution, from a claimed task to its settlement."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

import sqlalchemy.exc
from huey import signals as S
from huey.api import Task
from huey.exceptions import CancelExecution, TaskTimeout

from skeldir_huey.config import settings
from skeldir_huey.errors import FenceLost
from skeldir_huey.log import bind, get_log
from skeldir_huey.queue import decide, states
from skeldir_huey.queue.claims import ClaimedMessage
from skeldir_huey.queue.jobs import Job, current_job
from skeldir_huey.queue.outcomes import Outcome, connection_lost
from skeldir_huey.queue.settler import Success
from skeldir_huey.queue.storage import statement
from skeldir_huey.queue.watchdog import DeadlinePassed

if TYPE_CHECKING:
    from skeldir_huey.queue.executor import SkeldirHuey

log = get_log("queue.executor")


def execute(huey: SkeldirHuey, task: Task, timestamp: dt.datetime | None) -> Any:
    """Run a task to an end and settle it. Returns the task's value.

    Args:
        timestamp: the time to use, as Huey writes it; None, as in production, means the database's.
    """
    job = huey.job_of(task)
    with bind(
        task_name=job.task_name,
        task_id=job.task_id,
        tenant_id=job.tenant_id,
        correlation_id=job.correlation_id,
    ):
        try:
            return _to_an_end(huey, job, task, timestamp)
        finally:
            desk = huey.desk
            if job.claim is not None and desk is not None and not getattr(task, "buffered", False):
                desk.forget(job.claim)


def _database_time(huey: SkeldirHuey, job: Job) -> dt.datetime:
    """Return when the job was claimed: a host whose clock is late must not find due jobs too early."""
    if job.claim is None:
        return huey._get_timestamp()
    return job.claim.claimed_at.astimezone(dt.UTC if huey.utc else None).replace(tzinfo=None)


def _to_an_end(huey: SkeldirHuey, job: Job, task: Task, timestamp: dt.datetime | None) -> Any:
    value = None
    stopped = _stopped_by_clock(huey, job, task, timestamp) or _stopped_by_hook(huey, task)
    if stopped is not None:
        outcome, after = stopped
    else:
        log.debug("job_started", attempt=job.claim.attempt if job.claim else 1)
        huey._emit(S.SIGNAL_EXECUTING, task)
        value, outcome, after = _run(huey, job, task)
        if outcome.kind == states.DONE and _settle_with_others(huey, job, task, outcome):
            return value
    _settle(huey, job, task, outcome, after)
    return value


def _stopped_by_clock(
    huey: SkeldirHuey, job: Job, task: Task, timestamp: dt.datetime | None
) -> tuple[Outcome, decide.After] | None:
    """Return the outcome of a task that is not due, revoked or expired; None when it may run."""
    revocable = job.claim is None or job.claim.revocable
    if not (revocable or task.eta or task.expires_resolved):
        return None  # most jobs: nothing depends on the time
    now = timestamp or _database_time(huey, job)
    if not huey.ready_to_run(task, now):
        return decide.not_ready(huey, job, task, timestamp)
    if revocable and (outcome := decide.revoked(huey, task, now)) is not None:
        return outcome, [(S.SIGNAL_REVOKED, task)]
    if task.expires_resolved and task.expires_resolved < now:
        outcome = decide.not_run(huey, task, states.DEAD, "expired")
        outcome.error_type = states.EXPIRED
        return outcome, [(S.SIGNAL_EXPIRED, task)]
    return None


def _stopped_by_hook(huey: SkeldirHuey, task: Task) -> tuple[Outcome, decide.After] | None:
    try:
        huey._run_pre_execute(task)
    except CancelExecution:
        outcome = decide.not_run(huey, task, states.CANCELLED, "cancelled before it began")
        return outcome, [(S.SIGNAL_CANCELED, task)]
    return None


def _run(huey: SkeldirHuey, job: Job, task: Task) -> tuple[Any, Outcome, decide.After]:
    began = time.monotonic()
    token = current_job.set(job)
    value: Any = None
    error: BaseException | None = None
    if task.timeout:
        task._deadline = began + task.timeout
    huey._tasks_in_flight.add(task)
    try:
        if task.timeout:
            with huey.watchdog.watch(task.timeout, job.cancel_statement, lambda: _give_up(huey, job, task.timeout)):
                value = task.execute()
        else:
            value = task.execute()
    except DeadlinePassed:
        job.rollback(discard=True)
        error = TaskTimeout(f"timeout {task.timeout}s")
    except KeyboardInterrupt as interrupt:
        error = interrupt
    except BaseException as raised:  # SystemExit too: a failed attempt must not end the worker
        error = raised
    finally:
        huey._tasks_in_flight.discard(task)
        current_job.reset(token)
    run_ms = (time.monotonic() - began) * 1000
    task.run_s = run_ms / 1000
    if isinstance(error, KeyboardInterrupt):
        job.children.clear()
        return None, Outcome(states.RELEASED, error=error, run_ms=run_ms), [(S.SIGNAL_INTERRUPTED, task)]
    if error is not None:
        if (job.cut or _of_our_database(error)) and _may_try_again(huey, job):
            job.children.clear()
            return None, Outcome(states.RELEASED, error=error, run_ms=run_ms, cut=True), []
        outcome, after = decide.failed(huey, job, task, error)
    else:
        outcome, after = decide.succeeded(huey, job, task, value)
    outcome.run_ms = run_ms
    return value, outcome, after


def _give_up(huey: SkeldirHuey, job: Job, timeout_s: float) -> None:
    """End a job as timed out without its task, which sits in code that no exception reaches.

    If that comes back one day, it finds the fence broken.
    """
    claim = job.claim
    if claim is None:
        return
    with bind(task_name=job.task_name, task_id=job.task_id):
        log.error("worker_stuck", timeout_s=timeout_s)
        job.end_session()
        task = huey.task_of(ClaimedMessage.of(claim))  # the other one is in use
        if task is not None:
            again = huey.job_of(task)
            again.worker = job.worker
            outcome, after = decide.failed(huey, again, task, TaskTimeout(f"timeout {timeout_s}s, and did not stop"))
            _settle(huey, again, task, outcome, after)
    if huey.desk is not None:
        huey.desk.forget(claim)


def _of_our_database(error: BaseException) -> bool:
    """Say whether a session was cut that the task opened by itself, through an engine and not by `transaction()`."""
    return isinstance(error, sqlalchemy.exc.DBAPIError) and connection_lost(error)


def _may_try_again(huey: SkeldirHuey, job: Job) -> bool:
    """Say whether a job whose session was cut goes back: as often as the server restarts, else max_deaths times."""
    claim = job.claim
    if claim is None:
        return False
    if claim.deaths + 1 < settings().max_deaths:
        return True
    try:
        return bool(huey.storage.run(statement("server_started"), {"moment": claim.claimed_at})[0]["since"])
    except Exception as error:
        log.warning("server_out_of_reach", error=str(error).strip())
        return True  # the settlement will not reach it either, and the sweep gives the claim back


def _settle_with_others(huey: SkeldirHuey, job: Job, task: Task, outcome: Outcome) -> bool:
    desk, claim = huey.desk, job.claim
    if (
        desk is None
        or claim is None
        or type(task).alone
        or job.connection is not None
        or job.children
        or job.committed
        or job.lost
        or outcome.member is not None
        or huey._signal.wants_ended(job)
    ):
        return False
    task.buffered = True
    desk.success(
        Success(
            claim,
            task,
            outcome.puts.get(task.id),
            outcome.run_ms or 0.0,
            job.worker,
            outcome.deletes[0] if outcome.deletes else None,
        )
    )
    return True


def _settle(huey: SkeldirHuey, job: Job, task: Task, outcome: Outcome, after: decide.After) -> None:
    before = len(job.children)
    try:
        huey.settle_job(job, outcome)
    except FenceLost:
        log.warning("job_fenced")
        return
    except Exception as error:
        if outcome.kind == states.DONE and not connection_lost(error) and not job.lost:
            # The effects could not be committed (an aborted transaction, a deferred constraint): a failed attempt.
            outcome_of_failure, after = decide.failed(huey, job, task, error)
            outcome_of_failure.run_ms = outcome.run_ms
            _settle(huey, job, task, outcome_of_failure, after)
            return
        # On any doubt nothing is acknowledged: the sweep finds the claim and gives it back.
        log.exception("settlement_failed")
        return
    if outcome.kind == states.DONE:
        log.info("job_done", run_ms=round(outcome.run_ms or 0.0, 3))
    elif outcome.kind == states.CANCELLED:
        log.warning("job_cancelled", error=str(outcome.error))
    elif outcome.kind == states.DEAD:
        log.error("job_dead", error_type=outcome.error_type, error=str(outcome.error) if outcome.error else None)
    for child in job.children[before:]:  # the callback of a chord that this job completed
        after += decide.added(child)
    for signal, about in after:
        huey._emit(signal, about)
