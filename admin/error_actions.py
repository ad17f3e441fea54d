"""What operators say about an error: acknowledged, fixed in a version, ignored for a while, or new again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from admin.actions import LETTER, acting
from admin.reads import errors
from admin.trail import record
from skeldir_huey.clock import utc_now
from skeldir_huey.db.engine import enter
from skeldir_huey.db.tables import ErrorDelta, ErrorGroup
from skeldir_huey.errors import NotFound
from skeldir_huey.queue import dead_letters

ERROR = "error_group"
KINDS = {
    "acknowledged": "Acknowledge: somebody is on it",
    "fixed": "Fixed in a version: it comes back to the list when it fails again",
    "ignored": "Ignore for a while",
    "new": "Take the last decision back",
}
IGNORE_DAYS = {"1": "1 day", "7": "7 days", "30": "30 days"}


@dataclass(frozen=True)
class Decision:
    """What is said: kind is a key of KINDS; version and until belong to two of them."""

    kind: str
    note: str
    owner: str
    version: str | None = None
    until: datetime | None = None


def decide(user: Any, fingerprint: str, tenant_id: UUID | None, decision: Decision) -> None:
    """Say something about an error, in one tenant or, for None, in all that have it.

    Raises:
        Forbidden: the user may look but not decide.
        NotFound: no such error in this scope.
    """
    with acting(user, "acknowledge", tenant_id) as connection:
        role = "console_tenant" if tenant_id else "console_global"
        if tenant_id is None:
            enter(connection, None, "console_all")
        tenants = errors.tenants_of(connection, fingerprint)
        if not tenants:
            raise NotFound("no such error")
        values = {
            "state": None if decision.kind == "new" else decision.kind,
            "fixed_in": decision.version,
            "ignored_until": decision.until,
            "note": decision.note,
            "owner": decision.owner,
            "decided_by": user.email,
            "decided_at": None if decision.kind == "new" else utc_now(),
        }
        for one in tenants:
            # No role writes the rows of two tenants: each is entered in turn, in this same transaction.
            enter(connection, one, "console_tenant" if one else "console_global")
            keep(connection, fingerprint, one, values)
        enter(connection, tenant_id, role)
        detail = {"kind": decision.kind, "version": decision.version, "tenant_count": len(tenants)}
        record(
            connection, user.email, "acknowledge", ERROR, fingerprint, tenant_id=tenant_id, reason=decision.note,
            detail={name: value for name, value in detail.items() if value is not None},
        )  # fmt: skip


def keep(connection: Connection, fingerprint: str, tenant_id: UUID | None, values: dict[str, Any]) -> None:
    """Write columns of an error's row in one tenant, which may not have been made yet."""
    own = sa.and_(ErrorGroup.fingerprint == fingerprint, ErrorGroup.tenant_id.is_not_distinct_from(tenant_id))
    if connection.execute(sa.update(ErrorGroup).where(own).values(values)).rowcount:
        return
    told = connection.execute(
        sa.select(ErrorDelta.task_name, ErrorDelta.exception_class, ErrorDelta.error_message)
        .where(ErrorDelta.fingerprint == fingerprint, ErrorDelta.tenant_id.is_not_distinct_from(tenant_id))
        .limit(1)
    ).one_or_none()
    if told is None:
        # Folded since the update looked: then the row is there now.
        connection.execute(sa.update(ErrorGroup).where(own).values(values))
        return
    row = dict(told._mapping) | {"tenant_id": tenant_id, "fingerprint": fingerprint} | values
    connection.execute(
        insert(ErrorGroup).values(row).on_conflict_do_update(index_elements=["tenant_id", "fingerprint"], set_=values)
    )


def replay_canary(user: Any, fingerprint: str, letter_id: UUID, tenant_id: UUID | None, reason: str) -> str:
    """Replay one letter of an error to see whether the others would go through; returns the new job's task id.

    Raises:
        Forbidden, NotFound, Conflict: as `actions.replay_letter`.
    """
    with acting(user, "replay", tenant_id) as connection:
        task_id = dead_letters.replay(connection, letter_id)
        values = {"canary_letter_id": letter_id, "canary_task_id": task_id, "canary_at": utc_now()}
        keep(connection, fingerprint, tenant_id, values)
        detail = {"task_id": task_id, "canary_of": fingerprint}
        record(
            connection, user.email, "replay", LETTER, str(letter_id), tenant_id=tenant_id, reason=reason, detail=detail
        )
    return task_id
