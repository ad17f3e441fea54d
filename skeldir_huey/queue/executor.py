"""SkeldirHuey: Huey's API over jobs that stay in the table until one transaction settles them."""

from __future__ import annotations

import datetime as dt
import functools
import os
import threading
import uuid
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy.orm
from huey import signals as S
from huey.api import Huey, RateLimit, ResultGroup, Task
from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.errors import QueueError
from skeldir_huey.log import get_log, redact_text
from skeldir_huey.queue import bulk, decide, execution
from skeldir_huey.queue.claims import Claim, ClaimedMessage
from skeldir_huey.queue.consumer import SkeldirConsumer, create_consumer
from skeldir_huey.queue.desk import Desk
from skeldir_huey.queue.jobs import Child, Job, current_job
from skeldir_huey.queue.locks import OwnedLock, WindowLimit
from skeldir_huey.queue.messages import JsonSerializer, message_bytes
from skeldir_huey.queue.outcomes import Outcome
from skeldir_huey.queue.process import ProcessState, forget_process
from skeldir_huey.queue.registry import LaneTaskWrapper, NamedRegistry
from skeldir_huey.queue.rows import check_task, connection_of, row_of
from skeldir_huey.queue.settle import settle
from skeldir_huey.queue.settler import Success
from skeldir_huey.queue.signals import StrictSignals
from skeldir_huey.queue.storage import PostgresStorage, statement
from skeldir_huey.queue.unknown import understand_later
from skeldir_huey.queue.watchdog import Watchdog

log = get_log("queue.executor")


NO_IMMEDIATE = "immediate mode is refused: jobs would be lost; use skeldir_huey.queue.testing in tests"


class SkeldirHuey(Huey):
    """Huey over PostgresStorage.

    Args:
        name: name of the instance.
        options: Huey's own options; the serializer is always ours and `store_none` defaults to True, so that a
            finished job always leaves a result.
    """

    immediate_allowed = False  # set by testing.allow_immediate alone

    def __init__(self, name: str = "skeldir", **options: Any) -> None:
        if options.pop("immediate", False):
            raise QueueError(NO_IMMEDIATE)
        options.setdefault("store_none", True)
        options.setdefault("storage_class", PostgresStorage)
        super().__init__(name, serializer=JsonSerializer(), **options)
        self._registry = NamedRegistry()
        self._signal = StrictSignals()
        self.watchdog = Watchdog()
        self.on_consumer_start: list[Callable[[SkeldirConsumer], None]] = []
        self._process: ProcessState | None = None
        self._process_lock = threading.Lock()
        os.register_at_fork(after_in_child=functools.partial(forget_process, weakref.ref(self)))

    @property
    def desk(self) -> Desk | None:
        """The desk of this process; None where no consumer runs."""
        process = self._process
        return None if process is None else process.desk

    def get_task_wrapper_class(self) -> type[LaneTaskWrapper]:
        """Return the wrapper that knows lanes."""
        return LaneTaskWrapper

    @property
    def immediate(self) -> bool:
        """Whether a call runs its task at once. Refused outside tests; see `testing.allow_immediate`."""
        return bool(self._immediate)

    @immediate.setter
    def immediate(self, value: bool) -> None:
        if value and not self.immediate_allowed:
            raise QueueError(NO_IMMEDIATE)
        Huey.immediate.fset(self, value)

    # -- enqueue ------------------------------------------------------------------------------------------------------

    def serialize_task(self, task: Task) -> bytes:
        """Return the task's message, refused above 64 KiB."""
        return message_bytes(self.serializer, self._registry.create_message(task))

    def row_of(self, task: Task, **options: Any) -> dict[str, Any]:
        """Return the row of `huey.job` that a task becomes; see `rows.row_of`."""
        return row_of(task, self.serialize_task(task), self._registry.task_to_string(type(task)), **options)

    def enqueue(self, task: Any) -> Any:
        """Add a job; inside a job, it exists only if that one settles well. See Huey for groups and chords."""
        if self._immediate or not isinstance(task, Task):
            return super().enqueue(task)
        if task.expires:
            task.resolve_expires(self.utc)
        child = Child(self.row_of(task), task)
        job = current_job.get()
        if job is not None:
            job.children.append(child)
        elif self.storage.enqueue_row(child.row) or self._goes_back(task):
            for signal, about in decide.added(child):
                self._emit(signal, about)
        else:
            self._already_there(task, child.row)
        return self._results_of(task)

    def _goes_back(self, task: Task) -> bool:
        """Return a task that `read_schedule` or `dequeue` gave out to those that wait."""
        claim: Claim | None = getattr(task, "claim", None)
        return claim is not None and self.storage.release([claim])

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

        Huey's signal `enqueued` is not sent: nobody here hears whether the caller commits.

        Args:
            connection: a connection or session whose role may insert jobs of its tenant.
            task: made by `some_task.s(...)`.
            correlation_id: default: the running job's, else a new one.

        Returns:
            The task id. When a job with the same unique key has not ended yet, that job's id, and nothing is added.
        """
        connection = connection_of(connection)
        check_task(task)
        task.resolve_expires(self.utc)
        row = self.row_of(task, correlation_id=correlation_id)
        # The caller may commit much later, when a consumer that is busy now has nothing to do: so it is always told.
        if not rows(connection, statement("enqueue"), row | {"always_notify": True}) and row["unique_key"] is not None:
            found = rows(connection, statement("find_unique"), row)
            if found:
                return str(found[0]["task_id"])
        return str(task.id)

    def enqueue_many(self, tasks: Iterable[Task], connection: Connection | sqlalchemy.orm.Session | None = None) -> int:
        """Add many jobs with one statement per task and tenant, at most 1,000 each; returns how many were added.

        Tasks with a unique key are refused: whether they exist has to be asked one by one.

        Args:
            tasks: made by `some_task.s(...)`; read as a stream.
            connection: the caller's transaction; default one transaction per statement.
        """
        return bulk.enqueue_many(self, tasks, None if connection is None else connection_of(connection))

    def lock_task(self, lock_name: str, ttl: float | None = None) -> OwnedLock:
        """Return a lock that dies with the job that took it; see `OwnedLock`."""
        return super().lock_task(lock_name, ttl) if self._immediate else OwnedLock(self, lock_name, ttl)

    def is_locked(self, lock_name: str) -> bool:
        """Say whether a lock has a living owner."""
        return bool(self.lock_task(lock_name).is_locked())

    def flush_locks(self, *names: str) -> set[str]:
        """Take away the named locks, and this process's own, whoever has them; returns the names of those taken."""
        own = {key.split(".lock.", 1)[-1] for key in self._locks}
        return {name for name in own.union(map(str.strip, names)) if self.lock_task(name).clear()}

    def rate_limit(self, name: str, limit: int, per: float, retry: bool = True) -> WindowLimit:
        """Return a fixed-window rate limit, counted in one statement; see `WindowLimit`."""
        kind = RateLimit if self._immediate else WindowLimit
        return kind(self, name, limit, per, retry=retry)

    def add_schedule(self, task: Task) -> None:
        """Add a job that is due at its eta."""
        if self._immediate:
            return super().add_schedule(task)
        self.storage.enqueue_row(self.row_of(task))
        self._emit(S.SIGNAL_SCHEDULED, task)

    def put_if_empty(self, key: str, data: Any, ttl: float | None = None) -> bool:
        """Store a value unless its key is there; used by locks."""
        return self.storage.put_if_empty(key, self.serializer.serialize(data), ttl)

    # -- consumer -----------------------------------------------------------------------------------------------------

    def create_consumer(self, **options: Any) -> SkeldirConsumer:
        """Make the consumer, after a check of the database and its roles that ends with one line."""
        return create_consumer(self, options)

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
            args=tuple(task.args) if isinstance(task.args, (tuple, list)) else (task.args,),
            kwargs=dict(task.kwargs),
            letter_id=claim.letter_id if claim else None,
            claim=claim,
        )

    # -- execute ------------------------------------------------------------------------------------------------------

    def execute(self, task: Task, timestamp: dt.datetime | None = None) -> Any:
        """Run a task to an end and settle it. Returns the task's value."""
        if self._immediate:
            return super().execute(task, timestamp)
        return execution.execute(self, task, timestamp)

    def settle_job(self, job: Job, outcome: Outcome) -> None:
        """Settle an execution in one transaction; see `settle.settle`."""
        settle(job, outcome, self._signal, functools.partial(decide.chord_callback, self))

    def announce(self, settled: Sequence[Success]) -> None:
        """Log successes that were settled together, and tell Huey's receivers."""
        log.info_each(
            "job_done",
            [
                {
                    "task_name": claim.task_name,
                    "task_id": redact_text(claim.task_id),  # a producer may have chosen it
                    "tenant_id": claim.tenant_id,
                    "correlation_id": claim.correlation_id,
                    "run_ms": round(success.run_ms, 3),
                }
                for success in settled
                for claim in [success.claim]
            ],
        )
        for success in settled:
            self._emit(S.SIGNAL_COMPLETE, success.task)
