"""What is still there: the boundary behind which a tenant's allocations and events were removed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import InputError


@dataclass(frozen=True)
class Boundary:
    """The boundary of a tenant, None where nothing was removed.

    Args:
        removed_before: allocations before this were removed, after the totals of their months were frozen.
        events_removed_before: events before this were removed: earlier, for the lookback of what is kept.
    """

    removed_before: datetime | None = None
    events_removed_before: datetime | None = None


def read_boundary(connection: Connection, tenant_id: UUID) -> Boundary:
    """Return the boundary of a tenant, as it is until the end of this transaction: it does not move meanwhile."""
    rows(connection, sql("db", "hold_boundary"), {"tenant_id": tenant_id})
    found = rows(connection, sql("db", "read_boundary"), {"tenant_id": tenant_id})
    return Boundary(**found[0]) if found else Boundary()


def check_window(connection: Connection, tenant_id: UUID, window_start: datetime, lookback_s: int = 0) -> None:
    """Make sure that everything that a window is computed from is still there.

    Args:
        lookback_s: how far before the window its touches may lie, seconds.

    Raises:
        InputError: window_start is behind the boundary: the numbers would be made from nothing.
    """
    boundary = read_boundary(connection, tenant_id)
    first = boundary.removed_before
    if first is None or boundary.events_removed_before is None:
        return
    first = max(first, boundary.events_removed_before + timedelta(seconds=lookback_s))
    if window_start < first:
        raise InputError(
            "window_start",
            f"{window_start.isoformat()} is before {first.isoformat()}: events that this window needs were removed "
            "when their time was over; the totals of their months are in allocation_months and revenue_months",
        )
