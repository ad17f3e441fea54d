"""Ask for runs, and steer backfills. Each verb checks, acts and writes its audit row in one transaction."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from admin import trail
from admin.actions import acting
from skeldir_huey.attribution import backfills, runs
from skeldir_huey.attribution.backfills import Backfill
from skeldir_huey.attribution.types import Run
from skeldir_huey.errors import Conflict
from skeldir_huey.tasks import attribution, backfill


def recompute(
    user: Any, tenant_id: UUID, start: datetime, end: datetime, model_version: str, reason: str
) -> tuple[Run, bool]:
    """Ask for one run of a window.

    Returns:
        the run, and whether a job was made: not when it waits or runs already, however often this is asked.

    Raises:
        Forbidden: the user may look but not recompute.
        NotFound: the user may not see the tenant.
        InputError: the window or the version is wrong.
    """
    identity = runs.identify(tenant_id, start, end, model_version)
    with acting(user, "recompute", tenant_id) as connection:
        run, made = attribution.ask_for_run(connection, identity, uuid.uuid4())
        if made:
            detail = {"window": _window(start, end), "model_version": model_version, "task_id": run.task_id}
            _audit(connection, user, "recompute", "run", run.id, tenant_id, reason, detail)
    return run, made


def start_backfill(
    user: Any, tenant_id: UUID, start: datetime, end: datetime, model_version: str, reason: str
) -> tuple[Backfill, bool]:
    """Ask for one run per day of a range, one after the other.

    Returns:
        the backfill, and whether it was made: not when one of the same range and version is under way.

    Raises:
        Forbidden, NotFound, InputError: as `recompute`.
    """
    identity = runs.identify(tenant_id, start, end, model_version)
    with acting(user, "recompute", tenant_id) as connection:
        found = backfills.running(connection, identity)
        if found is not None:
            return found, False
        made = backfill.start_in(connection, identity)
        detail = {"window": _window(start, end), "model_version": model_version}
        _audit(connection, user, "backfill", "backfill", made.id, tenant_id, reason, detail)
    return made, True


def cancel_backfill(user: Any, tenant_id: UUID, backfill_id: UUID, reason: str) -> None:
    """Stop a backfill after the day that is under way.

    Raises:
        Forbidden, NotFound: as `recompute`.
        Conflict: it is not running.
    """
    _steer(user, tenant_id, backfill_id, reason, "cancel_backfill", "running")


def resume_backfill(user: Any, tenant_id: UUID, backfill_id: UUID, reason: str) -> None:
    """Go on with a backfill that was cancelled or failed.

    Raises:
        Forbidden, NotFound: as `recompute`.
        Conflict: it runs, or is done.
    """
    _steer(user, tenant_id, backfill_id, reason, "resume_backfill", "cancelled", "failed")


def _steer(user: Any, tenant_id: UUID, backfill_id: UUID, reason: str, action: str, *statuses: str) -> None:
    with acting(user, "recompute", tenant_id) as connection:
        found = backfills.read(connection, tenant_id, backfill_id, lock=True)
        if found.status not in statuses:
            state = f"This backfill is {found.status}, no longer {' or '.join(statuses)}."
            raise Conflict(trail.who_was_first(connection, "backfill", str(backfill_id), state))
        act = backfill.cancel_in if action == "cancel_backfill" else backfill.resume_in
        act(connection, tenant_id, backfill_id)
        detail = {"done": f"{found.done_count} of {found.day_count} days"}
        _audit(connection, user, action, "backfill", backfill_id, tenant_id, reason, detail)


def _window(start: datetime, end: datetime) -> list[str]:
    return [start.isoformat(), end.isoformat()]


def _audit(
    connection: Connection,
    user: Any,
    action: str,
    kind: str,
    row_id: UUID,
    tenant_id: UUID,
    reason: str,
    detail: dict[str, Any],
) -> None:
    trail.record(connection, user.email, action, kind, str(row_id), tenant_id=tenant_id, reason=reason, detail=detail)
