"""SkeldirHuey: Huey's API over jobs that stay in the table until one transaction settles them."""

from __future__ import annotations

import copy
import datetime as dt
import logging
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import sqlalchemy.orm
from huey import signals as S
from huey.api import Huey, PeriodicTask, ResultGroup, Task
from huey.exceptions import (
    RETRYING_EXCEPTIONS,
    CancelExecution,
    ConfigurationError,
    RateLimitExceeded,
    RetryTask,
    TaskLockedException,
    TaskTimeout,
)
from huey.utils import SKIPPED, Error, normalize_time
from sqlalchemy.engine import Connection

from skeldir_huey.config import settings
from skeldir_huey.db import urls
from skeldir_huey.db.engine import rows
from skeldir_huey.errors import ConfigError, FenceLost, QueueError, SkeldirError
from skeldir_huey.log import bind, get_log, install
from skeldir_huey.queue import bulk, states
from skeldir_huey.queue.claims import Claim, ClaimedMessage
from skeldir_huey.queue.consumer import SkeldirConsumer
from skeldir_huey.queue.desk import Desk, Success
from skeldir_huey.queue.jobs import Job, current_job
from skeldir_huey.queue.lanes import check_lanes
from skeldir_huey.queue.locks import OwnedLock, WindowLimit
from skeldir_huey.queue.messages import JsonSerializer, check_size, class_name, traceback_of
from skeldir_huey.queue.outcomes import Outcome, connection_lost, error_type_of
from skeldir_huey.queue.process import ProcessState
from skeldir_huey.queue.registry import LaneTaskWrapper, NamedRegistry
from skeldir_huey.queue.rows import row_of
from skeldir_huey.queue.settle import settle
from skeldir_huey.queue.signals import StrictSignals
from skeldir_huey.queue.storage import PostgresStorage, statement, utc
from skeldir_huey.queue.unknown import understand_later
from skeldir_huey.queue.watchdog import DeadlinePassed, Watchdog

log = get_log("queue.executor")


def json_logs() -> None:
    """Turn the log that `huey_consumer` set up into JSON lines, keeping its level (-v, -q) and file (-l)."""
    logger = logging.getLogger("huey")
    path = next((handler.baseFilename for handler in logger.handlers if isinstance(handler, logging.FileHandler)), None)
    install(logger.level or settings().log_level, path)


class SkeldirHuey(Huey):
    """Huey over PostgresStorage.

    Args:
        name: name of the instance.
        options: Huey's own options; the serializer is always ours and `store_none` defaults to True, so that a
            finished job always leaves a result.
    """

    def __init__(self, name: str = "skeldir", **options: Any) -> None:
        options.setdefault("store_none", True)
        options.setdefault("storage_class", PostgresStorage)
        super().__init__(name, serializer=JsonSerializer(), **options)
        self._registry = NamedRegistry()
        self._signal = StrictSignals()
        self.watchdog = Watchdog()
        self.on_consumer_start: list[Callable[[SkeldirConsumer], None]] = []
        self._process: ProcessState | None = None
        self._process_lock = threading.Lock()

    @property
    def desk(self) -> Desk | None:
        """The desk of this process; None where no consumer runs."""
        return self._process.desk if self._process is not None and self._process.pid == os.getpid() else None

    def get_task_wrapper_class(self) -> type[LaneTaskWrapper]:
        """Return the wrapper that knows lanes."""
        return LaneTaskWrapper

    def get_immediate_storage(self) -> Any:
        """Refuse: in immediate mode every enqueue would vanish with the process."""
        raise QueueError("immediate mode is refused: jobs would be lost; use skeldir_huey.queue.testing in tests")

    # -- enqueue ------------------------------------------------------------------------------------------------------

    def serialize_task(self, task: Task) -> bytes:
        """Return the task's message, refused above 64 KiB."""
        message = self._registry.create_message(task)
        return check_size(self.serializer.serialize(message), message.name)

    def row_of(self, task: Task, **options: Any) -> dict[str, Any]:
        """Return the row of `huey.job` that a task becomes; see `rows.row_of`."""
        return row_of(task, self.serialize_task(task), self._registry.task_to_string(type(task)), **options)

    def enqueue(self, task: Any) -> Any:
        """Add a job; inside a job, it exists only if that one settles well. See Huey for groups and chords."""
        if not isinstance(task, Task):
            return super().enqueue(task)
        if task.expires:
            task.resolve_expires(self.utc)
        if self._immediate:
            return super().enqueue(task)
        row = self.row_of(task)
        job = current_job.get()
        if job is not None:
            job.children.append(row)
        elif not self.storage.enqueue_row(row):
            self._already_there(task, row)
        self._emit(S.SIGNAL_SCHEDULED if task.eta else S.SIGNAL_ENQUEUED, task)
        return self._results_of(task)

    def _already_there(self, task: Task, row: dict[str, Any]) -> None:
        if row["unique_key"] is not None:
            found = self.storage.run(statement("find_unique"), row)
            if found:
                task.id = found[0]["task_id"]

    def _results_of(self, task: Task) -> Any:
        if not self.results:
            return None
        results = self._pipeline_results(task)
        return ResultGroup(results) if len(results) > 1 else results[0]

    def enqueue_in(
        self,
        connection: Connection | sqlalchemy.orm.Session,
        task: Task,
        *,
        correlation_id: UUID | None = None,
    ) -> str:
        """Add a job on the caller's transaction: it exists if and only if the caller commits.

        Args:
            connection: a connection or session whose role may insert jobs of its tenant.
            task: made by `some_task.s(...)`.
            correlation_id: default: the running job's, else a new one.

        Returns:
            The task id. When a job with the same unique key has not ended yet, that job's id, and nothing is added.
        """
        if isinstance(connection, sqlalchemy.orm.Session):
            connection = connection.connection()
        if task.expires:
            task.resolve_expires(self.utc)
        row = self.row_of(task, correlation_id=correlation_id)
        # The caller may commit much later, when a consumer that is busy now has nothing to do: so it is always told.
        if not rows(connection, statement("enqueue"), row | {"always_notify": True}) and row["unique_key"] is not None:
            found = rows(connection, statement("find_unique"), row)
            if found:
                return str(found[0]["task_id"])
        self._emit(S.SIGNAL_ENQUEUED, task)
        return str(task.id)

    def enqueue_many(self, tasks: Iterable[Task], connection: Connection | sqlalchemy.orm.Session | None = None) -> int:
        """Add many jobs with one statement per task and tenant, at most 1,000 each; returns how many were added.

        Tasks with a unique key are refused: whether they exist has to be asked one by one.

        Args:
            tasks: made by `some_task.s(...)`; read as a stream.
            connection: the caller's transaction; default one transaction per statement.
        """
        if isinstance(connection, sqlalchemy.orm.Session):
            connection = connection.connection()
        return bulk.enqueue_many(self, tasks, connection)

    def lock_task(self, lock_name: str, ttl: float | None = None) -> OwnedLock:
        """Return a lock that dies with the job that took it; see `OwnedLock`."""
        return OwnedLock(self, lock_name, ttl)

    def is_locked(self, lock_name: str) -> bool:
        """Say whether a lock has a living owner."""
        return OwnedLock(self, lock_name).is_locked()

    def flush_locks(self, *names: str) -> set[str]:
        """Take away the named locks, and this process's own, whoever has them; returns the names of those taken."""
        keys = {*self._locks, *(OwnedLock(self, name.strip())._key for name in names)}
        return {key.split(".lock.", 1)[-1] for key in keys if self.storage.run(statement("clear_lock"), {"key": key})}

    def rate_limit(self, name: str, limit: int, per: float, retry: bool = True) -> WindowLimit:
        """Return a fixed-window rate limit, counted in one statement; see `WindowLimit`."""
        return WindowLimit(self, name, limit, per, retry=retry)

    def add_schedule(self, task: Task) -> None:
        """Add a job that is due at its eta."""
        self.storage.enqueue_row(self.row_of(task))
        self._emit(S.SIGNAL_SCHEDULED, task)

    def put_if_empty(self, key: str, data: Any, ttl: float | None = None) -> bool:
        """Store a value unless its key is there; used by locks."""
        return self.storage.put_if_empty(key, self.serializer.serialize(data), ttl)

    # -- consumer -----------------------------------------------------------------------------------------------------

    def create_consumer(self, **options: Any) -> SkeldirConsumer:
        """Make the consumer, after a check of the database and its roles that ends with one line."""
        try:
            json_logs()
            urls.check_ready("worker")
            self.storage.lanes = check_lanes(settings().lanes)
            return SkeldirConsumer(self, **options)
        except (SkeldirError, ConfigurationError) as error:
            sys.stderr.write(f"skeldir: {error}\n")
            raise SystemExit(2 if isinstance(error, (ConfigError, ConfigurationError)) else 1) from None

    def open_process(self, description: dict[str, Any], is_child: bool = False) -> None:
        """Give this process its desk and its life sign, once."""
        with self._process_lock:
            if self._process is None or self._process.pid != os.getpid():
                self._process = ProcessState(self, description, is_child)

    def close_process(self) -> None:
        """Give back what this process holds, if it executes jobs."""
        with self._process_lock:
            process, self._process = self._process, None
        if process is not None and process.pid == os.getpid():
            process.close()

    # -- take ---------------------------------------------------------------------------------------------------------

    def deserialize_task(self, data: bytes) -> Task:
        """Make the task of a message; a claimed message's task carries the claim."""
        task = super().deserialize_task(data)
        claim = getattr(data, "claim", None)
        if claim is not None:
            task.claim = claim
            task.id, task.revoke_id = claim.task_id, f"r:{claim.task_id}"
        return task

    def dequeue(self) -> Task | None:
        """Claim one job and return its task; a message that is not understood is put back with a delay."""
        data = self.storage.dequeue()
        return None if data is None else self.task_of(data)

    def task_of(self, data: ClaimedMessage) -> Task | None:
        """Return the task of a claimed message, or None after putting it back or burying it."""
        try:
            return self.deserialize_task(data)
        except Exception as error:
            claim = data.claim
            assert claim is not None
            understand_later(self, claim, error)
            return None

    def job_of(self, task: Task) -> Job:
        """Return the execution of a task, with its claim if it has one."""
        claim: Claim | None = getattr(task, "claim", None)
        name = claim.task_name if claim else self._registry.task_to_string(type(task))
        return Job(
            task_id=task.id,
            task_name=name,
            lane=claim.lane if claim else getattr(type(task), "lane", "housekeeping"),
            tenant_id=claim.tenant_id if claim else None,
            correlation_id=claim.correlation_id if claim else uuid.uuid4(),
            args=tuple(task.args),
            kwargs=dict(task.kwargs),
            letter_id=claim.letter_id if claim else None,
            claim=claim,
        )

    # -- execute ------------------------------------------------------------------------------------------------------

    def execute(self, task: Task, timestamp: dt.datetime | None = None) -> Any:
        """Run a task to an end and settle it. Returns the task's value."""
        now = timestamp or self._get_timestamp()
        job = self.job_of(task)
        with bind(
            task_name=job.task_name,
            task_id=job.task_id,
            tenant_id=str(job.tenant_id) if job.tenant_id else None,
            correlation_id=str(job.correlation_id) if job.correlation_id else None,
        ):
            try:
                return self._to_an_end(job, task, now)
            finally:
                desk = self.desk
                if job.claim is not None and desk is not None and not self._buffered(task):
                    desk.forget(job.claim)

    @staticmethod
    def _buffered(task: Task) -> bool:
        return bool(getattr(task, "buffered", False))

    def _to_an_end(self, job: Job, task: Task, now: dt.datetime) -> Any:
        value = None
        if not self.ready_to_run(task, now):
            outcome = Outcome(states.RELEASED, run_at=utc(task.eta))
            after = [S.SIGNAL_SCHEDULED]
        elif (job.claim is None or job.claim.revocable) and self.is_revoked(task, now, False):
            outcome, after = self._not_run(task, states.CANCELLED, "revoked"), [S.SIGNAL_REVOKED]
        elif task.expires_resolved and task.expires_resolved < now:
            outcome, after = self._not_run(task, states.DEAD, "expired"), [S.SIGNAL_EXPIRED]
            outcome.error_type = states.EXPIRED
        elif not self._before(task):
            outcome, after = self._not_run(task, states.CANCELLED, "cancelled before it began"), [S.SIGNAL_CANCELED]
        else:
            log.debug("job_started", attempt=job.claim.attempt if job.claim else 1)
            self._emit(S.SIGNAL_EXECUTING, task)
            value, outcome, after = self._run(job, task)
            if outcome.kind == states.DONE and self._settle_with_others(job, task, outcome):
                return value
        self._settle(job, task, outcome, after)
        return value

    def _before(self, task: Task) -> bool:
        try:
            self._run_pre_execute(task)
        except CancelExecution:
            return False
        return True

    def _not_run(self, task: Task, kind: str, why: str) -> Outcome:
        outcome = Outcome(kind, error=QueueError(f"not run: {why}"))
        outcome.member = self._member_of(task, SKIPPED, down_the_chain=True)
        return outcome

    def _run(self, job: Job, task: Task) -> tuple[Any, Outcome, list[str]]:
        began = time.monotonic()
        token = current_job.set(job)
        value: Any = None
        error: BaseException | None = None
        if task.timeout:
            task._deadline = began + task.timeout
        self._tasks_in_flight.add(task)
        try:
            if task.timeout:
                with self.watchdog.watch(task.timeout, job.cancel_statement):
                    value = task.execute()
            else:
                value = task.execute()
        except DeadlinePassed:
            job.rollback(discard=True)
            error = TaskTimeout(f"timeout ({task.timeout}s)")
        except KeyboardInterrupt as interrupt:
            error = interrupt
        except BaseException as raised:  # SystemExit too: a failed attempt must not end the worker
            error = raised
        finally:
            self._tasks_in_flight.discard(task)
            current_job.reset(token)
        run_ms = (time.monotonic() - began) * 1000
        task.run_s = run_ms / 1000
        if isinstance(error, KeyboardInterrupt):
            job.children.clear()
            return None, Outcome(states.RELEASED, error=error, run_ms=run_ms), [S.SIGNAL_INTERRUPTED]
        if error is not None:
            job.children.clear()  # children of a failed attempt are not enqueued
            if job.cut and self._may_try_again(job):
                return None, Outcome(states.RELEASED, error=error, run_ms=run_ms, cut=True), []
            outcome, after = self._failed(job, task, error)
        else:
            outcome, after = self._succeeded(job, task, value)
        outcome.run_ms = run_ms
        return value, outcome, after

    def _may_try_again(self, job: Job) -> bool:
        """Say whether a job whose session was cut goes back: as often as the server restarts, else max_deaths times."""
        claim = job.claim
        if claim is None:
            return False
        if claim.deaths + 1 < settings().max_deaths:
            return True
        try:
            return bool(self.storage.run(statement("server_started"), {"moment": claim.claimed_at})[0]["since"])
        except Exception as error:
            log.warning("server_out_of_reach", error=str(error).strip())
            return True  # the settlement will not reach it either, and the sweep gives the claim back

    def _succeeded(self, job: Job, task: Task, value: Any) -> tuple[Outcome, list[str]]:
        outcome = Outcome(states.DONE)
        keep = self.results and not isinstance(task, PeriodicTask)
        try:
            if keep and (value is not None or self.store_none):
                outcome.puts[task.id] = self.serializer.serialize(value)
            if task.on_complete:
                following = task.on_complete
                following.extend_data(value)
                job.children.append(self._child_row(job, following))
            outcome.member = self._member_of(task, value)
        except Exception as error:  # a result that no message carries is the task's failure
            job.children.clear()
            return self._failed(job, task, error)
        if not isinstance(task, PeriodicTask):
            outcome.deletes.append(task.revoke_id)
        self._run_post_execute(task, value, None)
        return outcome, [S.SIGNAL_COMPLETE]

    def _failed(self, job: Job, task: Task, error: BaseException) -> tuple[Outcome, list[str]]:
        retry_eta = self._note_failure(task, error)
        final = not task.retries
        outcome = Outcome(states.DEAD if final else states.ERRORED, error=error, error_type=error_type_of(error))
        if isinstance(error, CancelExecution) and final:
            outcome.kind = states.CANCELLED
        if not isinstance(task, PeriodicTask):
            outcome.deletes.append(task.revoke_id)
        surface = final or (self.store_intermediate_errors and not isinstance(error, RETRYING_EXCEPTIONS))
        described = Error(self.build_error_result(task, error))
        if surface:
            following: Task | None = task if self.results and not isinstance(task, PeriodicTask) else None
            while following is not None:
                outcome.puts[following.id] = self.serializer.serialize(described)
                following = following.on_complete if final else None
        self._run_post_execute(task, None, error)
        if surface and task.on_error:
            handler = copy.copy(task.on_error)
            handler.extend_data(error)
            job.children.append(self._child_row(job, handler))
        if final:
            outcome.member = self._member_of(task, described, down_the_chain=True)
            return outcome, []
        self._next_attempt(task, outcome, retry_eta)
        return outcome, [S.SIGNAL_RETRYING] + ([S.SIGNAL_SCHEDULED] if outcome.run_at else [S.SIGNAL_ENQUEUED])

    def _note_failure(self, task: Task, error: BaseException) -> dt.datetime | None:
        """Log and signal a failed attempt as Huey does; returns when its retry is due, if the error says."""
        eta = None
        if isinstance(error, TaskTimeout):
            log.warning("job_timeout", timeout_s=task.timeout)
            self._emit(S.SIGNAL_TIMEOUT, task)
        elif isinstance(error, RateLimitExceeded):
            if error.retry or task.retries:
                eta = normalize_time(None, task.retry_delay or error.delay, self.utc)
            if error.retry:
                task.retries += 1
            self._emit(S.SIGNAL_RATE_LIMITED, task)
        elif isinstance(error, TaskLockedException):
            log.warning("job_locked", error=str(error))
            self._emit(S.SIGNAL_LOCKED, task)
        elif isinstance(error, RetryTask):
            task.retries += 1
            if error.eta or error.delay is not None:
                eta = normalize_time(error.eta, error.delay, self.utc)
        elif isinstance(error, CancelExecution):
            again = error.retry or (error.retry is None and task.retries)
            task.retries = max(task.retries, 1) if again else 0
            self._emit(S.SIGNAL_CANCELED, task)
        else:
            log.warning("job_errored", error_class=class_name(error), error=str(error), traceback=traceback_of(error))
            self._emit(S.SIGNAL_ERROR, task, error)
        return eta

    def _next_attempt(self, task: Task, outcome: Outcome, retry_eta: dt.datetime | None) -> None:
        task.retries -= 1
        task.eta = retry_eta
        if retry_eta is None and task.retry_delay:
            task.eta = self._get_timestamp() + dt.timedelta(seconds=task.retry_delay)
            if task.retry_backoff:
                task.retry_delay *= task.retry_backoff
        outcome.message = self.serialize_task(task)
        outcome.run_at = utc(task.eta) if task.eta else None

    def _member_of(self, task: Task, value: Any, down_the_chain: bool = False) -> Any:
        """Return what a chord learns of this task: itself, or when the rest of its chain will not run, the member's."""
        member: Task | None = task
        while member is not None:
            chord = member.chord_config
            if chord is not None:
                return (chord.cid, chord.size, chord.idx, self.serializer.serialize(value), chord.callback)
            member = member.on_complete if down_the_chain else None
        return None

    def _child_row(self, job: Job, task: Task) -> dict[str, Any]:
        if task.expires:
            task.resolve_expires(self.utc)
        return self.row_of(task, correlation_id=job.correlation_id)

    def _chord_callback(self, job: Job, callback: Task, values: list[bytes]) -> dict[str, Any]:
        callback = copy.copy(callback)
        callback.extend_data(([self.serializer.deserialize(value) for value in values],))
        return self._child_row(job, callback)

    # -- settle -------------------------------------------------------------------------------------------------------

    def _settle_with_others(self, job: Job, task: Task, outcome: Outcome) -> bool:
        desk, claim = self.desk, job.claim
        if (
            desk is None
            or claim is None
            or type(task).alone
            or job.connection is not None
            or job.children
            or job.lost
            or outcome.member is not None
            or self._signal.wants_ended(job)
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

    def announce(self, success: Success) -> None:
        """Log a success that was settled with others, and tell Huey's receivers."""
        claim = success.claim
        log.info(
            "job_done",
            task_name=claim.task_name,
            task_id=claim.task_id,
            tenant_id=claim.tenant_id and str(claim.tenant_id),
            correlation_id=claim.correlation_id and str(claim.correlation_id),
            run_ms=round(success.run_ms, 3),
        )
        self._emit(S.SIGNAL_COMPLETE, success.task)

    def _settle(self, job: Job, task: Task, outcome: Outcome, after: list[str]) -> None:
        try:
            self.settle_job(job, outcome)
        except FenceLost:
            log.warning("job_fenced")
            return
        except Exception as error:
            if outcome.kind == states.DONE and not connection_lost(error) and not job.lost:
                # The effects could not be committed (an aborted transaction, a deferred constraint): a failed attempt.
                job.children.clear()
                failed, after = self._failed(job, task, error)
                failed.run_ms = outcome.run_ms
                self._settle(job, task, failed, after)
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
        for signal in after:
            self._emit(signal, task)

    def settle_job(self, job: Job, outcome: Outcome) -> None:
        """Settle an execution in one transaction; see `settle.settle`."""
        settle(job, outcome, self._signal, self._chord_callback)
