"""Backfills: a long range of conversion times, recomputed day by day, which can be stopped and gone on with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.attribution.runs import Identity
from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import NotFound

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Backfill:
    """A row of backfills.

    Args:
        range_start, range_end: half-open.
        done_until: every day before this is done.
        status: running, succeeded, failed or cancelled.
        correlation_id: of all of its jobs and runs.
    """

    tenant_id: UUID
    id: UUID
    model_version: str
    range_start: datetime
    range_end: datetime
    done_until: datetime
    status: str
    correlation_id: UUID
    error_message: str | None

    @property
    def is_done(self) -> bool:
        """Return whether no day is left."""
        return self.done_until >= self.range_end

    @property
    def day_count(self) -> int:
        """Return how many runs the whole range takes."""
        return _days(self.range_start, self.range_end)

    @property
    def done_count(self) -> int:
        """Return how many of them are done."""
        return self.day_count - (0 if self.is_done else _days(self.done_until, self.range_end))

    def next_run(self) -> Identity:
        """Return the next run: to the end of the UTC day, or of the range."""
        end = min(_midnight(self.done_until) + _DAY, self.range_end)
        return Identity(self.tenant_id, self.done_until, end, self.model_version)


def create(connection: Connection, identity: Identity, correlation_id: UUID) -> Backfill:
    """Add a backfill over the window of this identity; `tasks.backfill` makes its jobs."""
    values = identity.values | {"correlation_id": correlation_id}
    return Backfill(**rows(connection, sql("attribution", "add_backfill"), values)[0])


def running(connection: Connection, identity: Identity) -> Backfill | None:
    """Return the running backfill of just this range and version, None when there is none.

    Until the end of the transaction nobody else who calls this gets an answer for the tenant.
    """
    rows(connection, sql("attribution", "lock_backfills"), {"tenant_id": str(identity.tenant_id)})
    found = rows(connection, sql("attribution", "running_backfill"), identity.values)
    return Backfill(**found[0]) if found else None


def read(connection: Connection, tenant_id: UUID, backfill_id: UUID, *, lock: bool = False) -> Backfill:
    """Return a backfill, locked to the end of the transaction on demand.

    Raises:
        NotFound: the tenant has none of that id.
    """
    values = {"tenant_id": tenant_id, "backfill_id": backfill_id}
    if lock:
        rows(connection, sql("attribution", "lock_backfill"), values)
    found = rows(connection, sql("attribution", "read_backfill"), values)
    if not found:
        raise NotFound(f"no backfill {backfill_id} of this tenant")
    return Backfill(**found[0])


def change(connection: Connection, backfill: Backfill, status: str, done_until: datetime | None = None) -> Backfill:
    """Say where the backfill stands."""
    values = {
        "tenant_id": backfill.tenant_id,
        "backfill_id": backfill.id,
        "status": status,
        "done_until": done_until or backfill.done_until,
    }
    return Backfill(**rows(connection, sql("attribution", "set_backfill"), values)[0])


def fail(connection: Connection, tenant_id: UUID, correlation_id: UUID, error_message: str) -> None:
    """Stop the running backfill that has this correlation id, if there is one."""
    values = {"tenant_id": tenant_id, "correlation_id": correlation_id, "error_message": error_message}
    rows(connection, sql("attribution", "fail_backfill"), values)


def _midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def _days(start: datetime, end: datetime) -> int:
    return (_midnight(end - timedelta(microseconds=1)) - _midnight(start)).days + 1
