"""Ask for a reconciliation: checked, enqueued and recorded in one transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from admin import trail
from admin.actions import acting
from skeldir_huey.errors import InputError
from skeldir_huey.main import huey
from skeldir_huey.tasks import ledger

MOST_DAYS = 366


def window_of(first: datetime | None, last: datetime | None) -> tuple[datetime, datetime]:
    """Return the half-open window of two days, both included.

    Raises:
        InputError: names the day that is wrong.
    """
    if first is None or last is None:
        raise InputError("first" if first is None else "last", "choose the first and the last day")
    if last < first:
        raise InputError("last", "is before the first day")
    if (last - first).days >= MOST_DAYS:
        raise InputError("last", f"at most {MOST_DAYS} days at once")
    return first, last + timedelta(days=1)


def reconcile(user: Any, tenant_id: UUID, start: datetime, end: datetime, reason: str) -> tuple[str, bool]:
    """Enqueue the reconciliation of a window.

    Returns:
        the job's id, and whether it was made: not when one of this window waits or runs, however often this is asked.

    Raises:
        Forbidden: the user may look but not reconcile.
        NotFound: the user may not see the tenant.
    """
    with acting(user, "reconcile", tenant_id) as connection:
        window = {"window_start": start.isoformat(), "window_end": end.isoformat()}
        task = ledger.reconcile.s(tenant_id=tenant_id, **window)
        task_id = huey.enqueue_in(connection, task)
        if task_id != task.id:
            return task_id, False
        trail.record(
            connection, user.email, "reconcile", "tenant", str(tenant_id), tenant_id=tenant_id, reason=reason,
            detail={"task_id": task_id} | window,
        )  # fmt: skip
    return task_id, True
