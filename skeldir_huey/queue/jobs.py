"""A job while it runs: its identity, its transaction, and what its settlement will write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy.exc
from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import engine, enter
from skeldir_huey.errors import DatabaseError, FenceLost, QueueError
from skeldir_huey.queue.claims import Claim
from skeldir_huey.queue.outcomes import Member, connection_lost
from skeldir_huey.queue.storage import statement

current_job: ContextVar[Job | None] = ContextVar("current_job", default=None)


def commit(connection: Connection) -> None:
    """Commit, and check that the server did: COMMIT of an aborted transaction rolls back and raises nothing.

    Raises:
        DatabaseError: the server rolled back.
    """
    raw: Any = connection.connection.dbapi_connection
    with raw.cursor() as cursor:
        cursor.execute("commit")
        tag = cursor.statusmessage
    connection.commit()  # tells SQLAlchemy that the transaction is over
    if tag != "COMMIT":
        raise DatabaseError(f"the server answered {tag} to COMMIT: nothing was written")


class Child(NamedTuple):
    """A job that the settlement adds: its row, and its task if receivers of Huey's signals are to hear of it."""

    row: dict[str, Any]
    task: Any = None


class Stillborn(NamedTuple):
    """A job that the settlement cannot add, and buries at once: with a letter, results, and word to its own chord."""

    job: Job
    error: Exception
    puts: dict[str, bytes]
    member: Member | None


@dataclass(eq=False)
class Job:
    """One execution of a job. Receivers of `dead` and `ended` get it, too.

    Attributes:
        children: jobs enqueued meanwhile; they exist only if this execution settles well.
        message: what is replayed, where there is no claim that has it.
        committed: what is to be called once the settlement that this leads to has committed, for counters; it may not
            raise. What a failed attempt noted is forgotten.
    """

    task_id: str
    task_name: str
    lane: str
    tenant_id: UUID | None
    correlation_id: UUID | None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    letter_id: UUID | None = None
    claim: Claim | None = None
    message: bytes = b""
    children: list[Child] = field(default_factory=list)
    committed: list[Callable[[], None]] = field(default_factory=list)
    worker: str = field(default_factory=lambda: threading.current_thread().name)
    connection: Connection | None = None  # an open transaction, to be committed by the settlement
    lost: bool = False  # the fence was found broken: nothing of this execution may be committed any more
    cut: bool = False  # the server or the network ended the job's session: no fault of the task's
    _in_block: bool = False

    @contextmanager
    def transaction(self, commit_now: bool = False) -> Iterator[Connection]:
        """Open the job's transaction as `app_user` of its tenant.

        At the end of the block nothing is committed: the settlement does that together with the job's end, or the
        next block does, after making sure that the claim still holds.

        Args:
            commit_now: fence and commit at the end of the block, for tasks that work in steps.

        Raises:
            FenceLost: the job was rescued meanwhile; nothing of the open transaction was written.
        """
        if self._in_block:
            raise QueueError("transaction() blocks of one job cannot be nested: pass the connection on")
        try:
            if self.connection is not None:
                self.commit_fenced()
            if self.lost:
                raise FenceLost(f"job {self.task_id} is no longer ours")
            connection = self.open()
            self.cut, self._in_block = False, True
            try:
                yield connection
            finally:
                self._in_block = False
            if commit_now:
                self.commit_fenced()
        except BaseException as error:
            self.cut = connection_lost(error)
            self.rollback()
            raise

    def open(self) -> Connection:
        """Return the open transaction, begun now if there is none, acting for the job's tenant."""
        if self.connection is None:
            try:
                self.connection = self._begin()
            except sqlalchemy.exc.DBAPIError as error:
                if not connection_lost(error):
                    raise
                self.connection = self._begin()  # a restart left a dead connection in the pool; nothing was done on it
        return self.connection

    def _begin(self) -> Connection:
        connection = engine("worker").connect()
        try:
            connection.begin()
            enter(connection, self.tenant_id)
        except BaseException:
            connection.close()
            raise
        return connection

    def connection_as(self, tenant_id: UUID | None) -> Connection:
        """Return the transaction of the settlement, acting for a tenant, or as the queue for None."""
        connection = self.open()
        enter(connection, tenant_id, None if tenant_id else "app_rw")
        return connection

    def commit_fenced(self) -> None:
        """Commit the open transaction if the claim still holds.

        Raises:
            FenceLost: it does not; everything was rolled back.
        """
        connection = self.connection
        if connection is None:
            return
        try:
            if self.claim is not None:
                enter(connection, None, "app_rw")
                found = connection.exec_driver_sql(
                    statement("fence"), {"id": self.claim.id, "token": self.claim.token}
                ).first()
                if found is None:
                    self.lost = True
                    raise FenceLost(f"job {self.task_id} is no longer ours")
            commit(connection)
        except BaseException:
            self.rollback()
            raise
        self._close()

    def rollback(self, discard: bool = False) -> None:
        """Give up the open transaction, whatever state its connection is in.

        Args:
            discard: close the connection instead of keeping it: a cancel request may still be on its way to it.
        """
        connection, self.connection = self.connection, None
        if connection is None:
            return
        try:
            if discard:
                connection.invalidate()
            connection.rollback()
            connection.close()
        except Exception:
            connection.invalidate()
            connection.close()

    def cancel_statement(self) -> None:
        """Ask the server to stop the statement that the job is waiting for. Safe from another thread."""
        connection = self.connection
        if connection is not None and not connection.closed:
            raw = connection.connection.dbapi_connection
            if raw is not None:
                raw.cancel()

    def end_session(self) -> None:
        """End the session of the open transaction, so that its locks go. Safe from another thread."""
        connection = self.connection
        raw: Any = connection.connection.dbapi_connection if connection is not None and not connection.closed else None
        if raw is not None:
            with engine("worker").connect() as other, other.begin():  # as the login itself, whose session it is
                other.exec_driver_sql("select pg_terminate_backend(%(pid)s)", {"pid": raw.info.backend_pid})

    def _close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()
