"""Refreshing materialized views, each by one worker at a time."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.reports.registry import View


def refresh(connection: Connection, view: View) -> bool:
    """Refresh a view, readers going on meanwhile; return False, doing nothing, while somebody else refreshes it.

    Args:
        connection: a transaction as app_user or app_rw; the right to refresh ends with it.
    """
    if not rows(connection, sql("reports", "lock_view"), {"view": view.name})[0]["taken"]:
        return False
    rows(connection, sql("reports", "refresh_view"), {"view": view.name})
    return True
