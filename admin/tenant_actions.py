"""Weight, cap and pause of one tenant. Each verb checks, acts and writes its audit row in one transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection
from werkzeug.exceptions import Forbidden

from admin import trail
from admin.actions import acting
from admin.guard import note_refusal
from admin.permissions import can, refusal
from admin.queue_actions import MINUTES
from admin.reads.overview import now as database_now
from admin.reads.tenants import lanes
from skeldir_huey.errors import Conflict, NotFound
from skeldir_huey.queue import control


def may_limit(user: Any) -> bool:
    """Return whether a user may set weights and caps: what one tenant gets, others wait for."""
    return can(user, "limits", None)


def set_limits(user: Any, tenant_id: UUID, lane: str, weight: float, cap: int | None, reason: str) -> None:
    """Set a tenant's weight and cap in a lane.

    Raises:
        Forbidden: the user is no admin of all tenants.
        NotFound: no such tenant or lane.
        InputError: weight or cap is out of range.
    """
    with acting(user, "read", tenant_id) as connection:
        if not may_limit(user):
            note_refusal("limits", tenant_id)
            raise Forbidden(refusal(user, "limits", None, "all tenants"))
        before = next((row for row in lanes(connection, tenant_id) if row.name == lane), None)
        if before is None:
            raise NotFound("no such lane")
        control.set_share(connection, lane, tenant_id, weight, cap)
        detail = {
            "lane": lane,
            "before": {"weight": before.weight if before.weight is not None else 1, "cap": before.cap},
            "after": {"weight": weight, "cap": cap},
        }
        trail.record(
            connection,
            user.email,
            "limits",
            "tenant",
            str(tenant_id),
            tenant_id=tenant_id,
            reason=reason,
            detail=detail,
        )


def pause(user: Any, tenant_id: UUID, reason: str, minutes: str) -> int:
    """Let no job of the tenant start in any lane where it is not paused already; returns in how many lanes.

    Args:
        minutes: a key of MINUTES.

    Raises:
        Forbidden: the user may look but not pause.
        NotFound: the user may not see the tenant.
        Conflict: it is paused in every lane already.
    """
    assert minutes in MINUTES
    with acting(user, "pause", tenant_id) as connection:
        running = [row.name for row in lanes(connection, tenant_id) if row.paused_at is None]
        if not running:
            raise Conflict(_first(connection, tenant_id, "This tenant is paused in every queue already."))
        resume_at = None if minutes == "never" else database_now(connection) + timedelta(minutes=int(minutes))
        for lane in running:
            control.pause(connection, lane, by=user.email, reason=reason, tenant_id=tenant_id, resume_at=resume_at)
        detail = {"lanes": running} | ({"resume_at": resume_at.isoformat()} if resume_at else {})
        _audit(connection, user, "pause", tenant_id, reason, detail)
    return len(running)


def resume(user: Any, tenant_id: UUID, reason: str) -> int:
    """End every pause of the tenant; returns in how many lanes.

    Raises:
        Forbidden, NotFound: as `pause`.
        Conflict: it is paused in none.
    """
    with acting(user, "pause", tenant_id) as connection:
        paused = [row.name for row in lanes(connection, tenant_id) if row.paused_at is not None]
        if not paused:
            raise Conflict(_first(connection, tenant_id, "This tenant is not paused any more."))
        for lane in paused:
            control.resume(connection, lane, tenant_id=tenant_id)
        _audit(connection, user, "resume", tenant_id, reason, {"lanes": paused})
    return len(paused)


def _first(connection: Connection, tenant_id: UUID, state: str) -> str:
    return trail.who_was_first(connection, "tenant", str(tenant_id), state)


def _audit(
    connection: Connection, user: Any, action: str, tenant_id: UUID, reason: str, detail: dict[str, Any]
) -> None:
    target = str(tenant_id)
    trail.record(connection, user.email, action, "tenant", target, tenant_id=tenant_id, reason=reason, detail=detail)
