"""Runs and backfills whose job is gone from the queue without an end: it was flushed or deleted."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.attribution.runs import run_of
from skeldir_huey.attribution.types import Run
from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql

GONE = "its job is gone from the queue without an end, flushed or deleted"


def tenants_under_way(connection: Connection) -> list[UUID]:
    """Return the tenants that have runs or backfills under way.

    Args:
        connection: a transaction as app_rw, which may read this of all tenants.
    """
    return [row["tenant_id"] for row in rows(connection, sql("attribution", "tenants_under_way"))]


def fail_orphans(connection: Connection, tenant_id: UUID) -> tuple[list[Run], list[UUID]]:
    """Mark the tenant's runs and backfills failed that no job will bring to an end.

    Such a run has no task id any more: late data may ask for it again, see `dirty.dirty_windows`.

    Args:
        connection: a transaction of the tenant, as app_user.

    Returns:
        the runs, and the ids of the backfills.
    """
    values = {"tenant_id": tenant_id, "error_message": GONE}
    failed = [run_of(row) for row in rows(connection, sql("attribution", "fail_orphan_runs"), values)]
    stopped = [row["id"] for row in rows(connection, sql("attribution", "fail_orphan_backfills"), values)]
    return failed, stopped
