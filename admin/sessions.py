"""Sign-ins as rows, so that a person sees them and can end the others. No request but a sign-in writes one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import request, session
from sqlalchemy.engine import Connection, Row

from admin.security import SESSION_HOURS
from skeldir_huey.db.tables import ConsoleGrant, ConsoleSession

KEPT_DAYS = 30
AGENT_MAX = 200


def start(connection: Connection, user_id: UUID) -> None:
    """Write the session that begins with this request, and bind the cookie to it."""
    old = ConsoleSession.started_at < sa.func.clock_timestamp() - timedelta(days=KEPT_DAYS)
    connection.execute(sa.delete(ConsoleSession).where(ConsoleSession.user_id == user_id, old))
    made: UUID = connection.execute(
        sa.insert(ConsoleSession)
        .values(
            user_id=user_id,
            source_address=request.remote_addr,
            user_agent=request.headers.get("User-Agent", "")[:AGENT_MAX] or None,
        )
        .returning(ConsoleSession.id)
    ).scalar_one()
    session["sid"] = str(made)


def current_id() -> UUID | None:
    """Return the id of this request's session."""
    try:
        return UUID(str(session.get("sid")))
    except ValueError:
        return None


def grants_of_live(connection: Connection, user_id: Any) -> Sequence[Any] | None:
    """Return the grants of a user as rows of tenant and role; None when this request's session was ended meanwhile.

    Both in one statement, because every page asks for both.
    """
    grants = sa.join(ConsoleSession, ConsoleGrant, ConsoleGrant.user_id == user_id, isouter=True)
    rows = connection.execute(
        _live()
        .with_only_columns(ConsoleGrant.tenant_id, ConsoleGrant.role)
        .select_from(grants)
        .where(ConsoleSession.id == current_id())
    ).all()
    return [row for row in rows if row.role is not None] if rows else None


def live_of(connection: Connection, user_id: UUID) -> Sequence[Row[Any]]:
    """Return the sessions of a user that go on, the newest first."""
    return connection.execute(
        _live().where(ConsoleSession.user_id == user_id).order_by(ConsoleSession.started_at.desc())
    ).all()


def end(connection: Connection, user_id: UUID, *, but: UUID | None = None, only: UUID | None = None) -> int:
    """End sessions of a user, all unless told otherwise, and return how many.

    Args:
        but: a session that goes on.
        only: the only session to end.
    """
    statement = (
        sa.update(ConsoleSession)
        .where(ConsoleSession.user_id == user_id, ConsoleSession.ended_at.is_(None))
        .values(ended_at=sa.func.clock_timestamp())
    )
    if but is not None:
        statement = statement.where(ConsoleSession.id != but)
    if only is not None:
        statement = statement.where(ConsoleSession.id == only)
    return connection.execute(statement).rowcount


def _live() -> sa.Select[Any]:
    table = ConsoleSession.__table__
    young = table.c.started_at > sa.func.clock_timestamp() - timedelta(hours=SESSION_HOURS)
    return sa.select(table).where(table.c.ended_at.is_(None), young)
