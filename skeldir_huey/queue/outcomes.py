"""How one execution ended, decided before anything is written."""

from __future__ import annotations

import datetime as dt
import socket
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import sqlalchemy.exc
from huey.exceptions import RateLimitExceeded, RetryTask, TaskLockedException, TaskTimeout

from skeldir_huey.queue import states

Member = tuple[str, int, int, bytes, Any]  # of a chord: its id, size, the member's index and value, the callback


@dataclass
class Outcome:
    """The end of an execution, as the settlement writes it.

    Attributes:
        kind: done, dead, cancelled, errored (another attempt follows) or released (uncounted).
        puts: results to store, by key.
        deletes: keys to delete.
        member: what the chord that the job belongs to learns.
        message: the message of the next attempt.
        run_at: when the next attempt is due; None means at once.
        now: the time to use; None, as in production, means the database's clock.
        unknown: the task or its message was not understood.
        cut: the job's session was ended under it; counts as a death unless the server started since the claim.
    """

    kind: str
    puts: dict[str, bytes] = field(default_factory=dict)
    deletes: list[str] = field(default_factory=list)
    member: Member | None = None
    message: bytes | None = None
    run_at: dt.datetime | None = None
    error_type: str | None = None
    error: BaseException | None = None
    run_ms: float | None = None
    now: dt.datetime | None = None
    unknown: bool = False
    cut: bool = False


_TRANSIENT = (
    ConnectionError,
    TimeoutError,
    socket.gaierror,
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    RetryTask,
    RateLimitExceeded,
    TaskLockedException,
)


def error_type_of(error: BaseException) -> str:
    """Classify why a job is dead: timeout, transient (may well succeed later) or permanent."""
    if isinstance(error, TaskTimeout):
        return states.TIMEOUT
    if isinstance(error, _TRANSIENT) or connection_lost(error):
        return states.TRANSIENT
    return states.PERMANENT


def connection_lost(error: BaseException) -> bool:
    """Say whether a database error means that the connection is gone.

    A server that stops at once makes psycopg2 raise its bare DatabaseError without a code, so the class alone does not
    tell: a missing SQLSTATE, class 08 and 57P01 to 57P03 do.
    """
    if isinstance(error, sqlalchemy.exc.DBAPIError):
        if error.connection_invalidated:
            return True
        error = error.orig or error
    if not isinstance(error, psycopg2.Error):
        return False
    if isinstance(error, psycopg2.InterfaceError):
        return True
    code = error.pgcode
    return (code is None and isinstance(error, psycopg2.DatabaseError) and type(error) in _BARE) or (
        code is not None and (code.startswith("08") or code in ("57P01", "57P02", "57P03"))
    )


_BARE = (psycopg2.DatabaseError, psycopg2.OperationalError)
