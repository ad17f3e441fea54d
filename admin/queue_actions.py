"""Pause and resume: of a lane, of one task, of one tenant. Each checks, acts and writes its audit row at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from admin import auth
from admin.actions import acting
from admin.reads.overview import now as database_now
from admin.reads.queues import Target, pause_of, tenants_with
from admin.show import age
from skeldir_huey.db.engine import enter
from skeldir_huey.errors import Conflict
from skeldir_huey.queue import control

VERBS = ("pause", "resume")

# Minutes until a pause ends by itself, as the form sends them; consumers look each second.
MINUTES = {"15": "in 15 minutes", "60": "in 1 hour", "never": "when somebody resumes it"}


def pause(user: Any, target: Target, reason: str, minutes: str) -> None:
    """Let no job of the target start any more; those that run go on.

    Args:
        minutes: a key of MINUTES.

    Raises:
        Forbidden: the user may look but not pause; a lane or a task needs an operator of all tenants.
        NotFound: the user may not see the tenant.
        Conflict: it is paused already.
    """
    with _steering(user, target) as connection:
        now, old = database_now(connection), pause_of(connection, target)
        if old is not None:
            raise Conflict(f"Already paused by {old.paused_by}, {age(old.paused_at, now)} ago: {old.pause_reason}")
        resume_at = None if minutes == "never" else now + timedelta(minutes=int(minutes))
        control.pause(
            connection,
            target.lane,
            by=user.email,
            reason=reason,
            task_name=target.task_name,
            tenant_id=target.tenant_id,
            resume_at=resume_at,
        )
        _audit(connection, user, "pause", target, reason, {"resume_at": resume_at.isoformat() if resume_at else None})


def resume(user: Any, target: Target, reason: str) -> None:
    """End a pause and wake the consumers.

    Raises:
        Forbidden, NotFound: as `pause`.
        Conflict: it is not paused.
    """
    with _steering(user, target) as connection:
        if pause_of(connection, target) is None:
            raise Conflict("It is not paused any more. Nothing was changed.")
        control.resume(connection, target.lane, task_name=target.task_name, tenant_id=target.tenant_id)
        _audit(connection, user, "resume", target, reason, {})


@contextmanager
def _steering(user: Any, target: Target) -> Iterator[Connection]:
    with acting(user, "pause", target.tenant_id) as connection:
        # One at a time per lane: the second of two clicks must see what the first did.
        key = f"console steers {target.lane}"
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(key, 0))))
        yield connection
        if target.task_name is not None:
            _mark_jobs_of_all_tenants(connection, target)


def _mark_jobs_of_all_tenants(connection: Connection, target: Target) -> None:
    # No role writes the rows of two tenants: each is entered in turn, in this same transaction.
    enter(connection, None, "console_all")
    for tenant_id in tenants_with(connection, target):
        enter(connection, tenant_id, "console_tenant")
        control.apply_task_rule(connection, target.lane, str(target.task_name))


def _audit(
    connection: Connection, user: Any, action: str, target: Target, reason: str, detail: dict[str, str | None]
) -> None:
    detail = {"task": target.task_name} | detail
    auth.record(
        connection,
        user.email,
        action,
        "lane",
        target.lane,
        tenant_id=target.tenant_id,
        reason=reason,
        detail={name: value for name, value in detail.items() if value is not None},
    )
