"""What follows from the end of a task function: done, another attempt, dead or cancelled. Nothing is written here."""

from __future__ import annotations

import copy
import datetime as dt
from typing import TYPE_CHECKING, Any

from huey import signals as S
from huey.api import PeriodicTask, Task
from huey.constants import EmptyData
from huey.exceptions import (
    RETRYING_EXCEPTIONS,
    CancelExecution,
    RateLimitExceeded,
    RetryTask,
    TaskLockedException,
    TaskTimeout,
)
from huey.utils import SKIPPED, Error, normalize_time

from skeldir_huey.errors import QueueError
from skeldir_huey.log import get_log
from skeldir_huey.queue import states
from skeldir_huey.queue.jobs import Child, Job, Stillborn
from skeldir_huey.queue.messages import class_name, traceback_of
from skeldir_huey.queue.outcomes import Outcome, error_type_of
from skeldir_huey.queue.storage import utc

if TYPE_CHECKING:
    from skeldir_huey.queue.executor import SkeldirHuey

log = get_log("queue.executor")

After = list[tuple[str, Task]]  # Huey's signals to send once the settlement is committed


def not_ready(huey: SkeldirHuey, job: Job, task: Task, timestamp: dt.datetime | None) -> tuple[Outcome, After]:
    """Return the outcome of a task whose eta has not come at `timestamp` (None: now): it goes back, uncounted."""
    if job.claim is None:  # it has no row to go back to
        job.children.append(Child(huey.row_of(task)))
    now = utc(timestamp) if timestamp else None
    return Outcome(states.RELEASED, run_at=utc(task.eta), now=now), [(S.SIGNAL_SCHEDULED, task)]


def not_run(huey: SkeldirHuey, task: Task, kind: str, why: str) -> Outcome:
    """Return the outcome of a task that ends without having run."""
    outcome = Outcome(kind, error=QueueError(f"not run: {why}"))
    outcome.member = _member_of(huey, task, SKIPPED, down_the_chain=True)
    return outcome


def revoked(huey: SkeldirHuey, task: Task, now: dt.datetime) -> Outcome | None:
    """Return the outcome of a task that is revoked at `now`; None when it is not.

    A word that is good for once is deleted with the end that it leads to, not before: else a crash between the two
    would let the job run.
    """
    keys = huey._revoke_keys(task)
    words = huey.storage.peek_many(keys)
    for key in keys:
        is_revoked, is_over = huey._check_revoked(words.get(key, EmptyData), now, False)
        if is_revoked:
            outcome = not_run(huey, task, states.CANCELLED, "revoked")
            outcome.deletes += [key] * is_over
            return outcome
        if is_over:
            huey.storage.pop_data(key)
    return None


def succeeded(huey: SkeldirHuey, job: Job, task: Task, value: Any) -> tuple[Outcome, After]:
    """Return the outcome of a task function that returned, with the next link of its chain as a child."""
    outcome = Outcome(states.DONE)
    after = [signal for child in job.children for signal in added(child)]
    after.append((S.SIGNAL_COMPLETE, task))
    keep = huey.results and not isinstance(task, PeriodicTask)
    try:
        if keep and (value is not None or huey.store_none):
            outcome.puts[task.id] = huey.serializer.serialize(value)
        if task.on_complete:
            # A copy: should the commit fail, the next attempt's link must not have this value, too.
            after += _add(huey, job, _with_data(task.on_complete, value))
        outcome.member = _member_of(huey, task, value)
    except Exception as error:  # a result that no message carries is the task's failure
        return failed(huey, job, task, error)
    if not isinstance(task, PeriodicTask):
        outcome.deletes.append(task.revoke_id)
    huey._run_post_execute(task, value, None)
    return outcome, after


def failed(huey: SkeldirHuey, job: Job, task: Task, error: BaseException) -> tuple[Outcome, After]:
    """Return the outcome of a failed attempt: its children are dropped, another attempt may follow."""
    job.children.clear()
    try:
        return _failed(huey, job, task, error)
    except Exception as problem:  # the handler or the next attempt makes no message: that must not be tried for ever
        log.exception("failure_not_handled")
        job.children.clear()
        outcome = Outcome(states.DEAD, error=problem, error_type=states.PERMANENT)
        outcome.member = _member_of(huey, task, SKIPPED, down_the_chain=True)
        return outcome, []


def _failed(huey: SkeldirHuey, job: Job, task: Task, error: BaseException) -> tuple[Outcome, After]:
    after: After = []
    retry_eta = _note_failure(huey, task, error)
    final = not task.retries
    outcome = Outcome(states.DEAD if final else states.ERRORED, error=error, error_type=error_type_of(error))
    if isinstance(error, CancelExecution) and final:
        outcome.kind = states.CANCELLED
    if final and not isinstance(task, PeriodicTask):  # a job that was revoked while it ran is not tried again
        outcome.deletes.append(task.revoke_id)
    surface = final or (huey.store_intermediate_errors and not isinstance(error, RETRYING_EXCEPTIONS))
    described = Error(huey.build_error_result(task, error))
    if surface and huey.results and not isinstance(task, PeriodicTask):
        outcome.puts = _error_results(huey, task, described, down_the_chain=final)
    huey._run_post_execute(task, None, error)
    if surface and task.on_error:
        after += add_handler(huey, job, task.on_error, error)
    if final:
        outcome.member = _member_of(huey, task, described, down_the_chain=True)
        return outcome, after
    _next_attempt(huey, job, task, outcome, retry_eta)
    after.append((S.SIGNAL_RETRYING, task))
    after.append((S.SIGNAL_SCHEDULED if outcome.run_at else S.SIGNAL_ENQUEUED, task))
    return outcome, after


def chord_callback(huey: SkeldirHuey, job: Job, callback: Task, values: list[bytes]) -> Child | Stillborn:
    """Return the callback of a chord that is complete, with its members' values; or why it can never be enqueued."""
    complete = copy.copy(callback)
    complete.extend_data(([huey.serializer.deserialize(value) for value in values],))
    try:
        return _child(huey, job, complete)
    except Exception as error:  # too large, say: the last member has ended all the same
        log.exception("chord_callback_refused", callback_id=callback.id)
        buried = huey.job_of(callback)
        buried.tenant_id, buried.correlation_id = job.tenant_id, job.correlation_id
        buried.message = huey.serialize_task(callback)
        described = Error(huey.build_error_result(callback, error))
        puts = _error_results(huey, callback, described) if huey.results else {}
        return Stillborn(buried, error, puts, _member_of(huey, callback, described, down_the_chain=True))


def added(child: Child) -> After:
    """Return the signals that tell of a job that was added."""
    if child.task is None:
        return []
    run_at = child.row["run_at"]
    later = run_at is not None and run_at > dt.datetime.now(dt.UTC)
    return [(S.SIGNAL_ENQUEUED, child.task)] + ([(S.SIGNAL_SCHEDULED, child.task)] if later else [])


def _error_results(huey: SkeldirHuey, task: Task, error: Error, down_the_chain: bool = True) -> dict[str, bytes]:
    puts = {}
    following: Task | None = task
    while following is not None:
        puts[following.id] = huey.serializer.serialize(error)
        following = following.on_complete if down_the_chain else None
    return puts


def add_handler(huey: SkeldirHuey, job: Job, handler: Task, error: BaseException | None) -> After:
    """Add the error handler of a job, with the error that it is told."""
    return _add(huey, job, _with_data(handler, error))


def _with_data(task: Task, value: Any) -> Task:
    """Return a copy of a task that gets one more value, as Huey passes it on."""
    made = copy.copy(task)
    made.kwargs = dict(task.kwargs)
    made.extend_data(value)
    return made


def _add(huey: SkeldirHuey, job: Job, task: Task) -> After:
    child = _child(huey, job, task)
    job.children.append(child)
    return added(child)


def _child(huey: SkeldirHuey, job: Job, task: Task) -> Child:
    if task.expires:
        task.resolve_expires(huey.utc)
    return Child(huey.row_of(task, correlation_id=job.correlation_id), task)


def _note_failure(huey: SkeldirHuey, task: Task, error: BaseException) -> dt.datetime | None:
    """Log and signal a failed attempt as Huey does; returns when its retry is due, if the error says."""
    eta = None
    if isinstance(error, TaskTimeout):
        log.warning("job_timeout", timeout_s=task.timeout)
        huey._emit(S.SIGNAL_TIMEOUT, task)
    elif isinstance(error, RateLimitExceeded):
        if error.retry or task.retries:
            eta = normalize_time(None, task.retry_delay or error.delay, huey.utc)
        if error.retry:
            task.retries += 1
        huey._emit(S.SIGNAL_RATE_LIMITED, task)
    elif isinstance(error, TaskLockedException):
        log.warning("job_locked", error=str(error))
        huey._emit(S.SIGNAL_LOCKED, task)
    elif isinstance(error, RetryTask):
        task.retries += 1
        if error.eta or error.delay is not None:
            eta = normalize_time(error.eta, error.delay, huey.utc)
    elif isinstance(error, CancelExecution):
        again = error.retry or (error.retry is None and task.retries)
        task.retries = max(task.retries, 1) if again else 0
        huey._emit(S.SIGNAL_CANCELED, task)
    else:
        log.warning("job_errored", error_class=class_name(error), error=str(error), traceback=traceback_of(error))
        huey._emit(S.SIGNAL_ERROR, task, error)
    return eta


def _next_attempt(huey: SkeldirHuey, job: Job, task: Task, outcome: Outcome, retry_eta: dt.datetime | None) -> None:
    task.retries -= 1
    task.eta = retry_eta
    if retry_eta is None and task.retry_delay:
        task.eta = huey._get_timestamp() + dt.timedelta(seconds=task.retry_delay)
        if task.retry_backoff:
            task.retry_delay *= task.retry_backoff
    if job.claim is not None:  # the function may have changed what it was given
        stored = huey.serializer.deserialize(job.claim.message)
        task.args, task.kwargs = stored.args, stored.kwargs
    outcome.message = huey.serialize_task(task)
    outcome.run_at = utc(task.eta) if task.eta else None
    if job.claim is None:  # it has no row to go back to
        job.children.append(Child(huey.row_of(task, correlation_id=job.correlation_id)))


def _member_of(huey: SkeldirHuey, task: Task, value: Any, down_the_chain: bool = False) -> Any:
    """Return what a chord learns of this task: itself, or when the rest of its chain will not run, the member's."""
    member: Task | None = task
    while member is not None:
        chord = member.chord_config
        if chord is not None:
            return (chord.cid, chord.size, chord.idx, huey.serializer.serialize(value), chord.callback)
        member = member.on_complete if down_the_chain else None
    return None
