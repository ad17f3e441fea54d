"""Accounts and their grants. They belong to no tenant, so these reads act as console_global."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from admin import sessions
from skeldir_huey.db.engine import transaction
from skeldir_huey.db.tables import ConsoleGrant, ConsoleUser

SHOWN = 500


@dataclass(frozen=True)
class Account:
    """An account as an admin sees it; nothing secret is in it."""

    id: UUID
    email: str
    active: bool
    created_at: datetime
    last_login_at: datetime | None
    second_factor: bool
    grants: Mapping[UUID | None, str]

    @property
    def everywhere(self) -> str | None:
        """Return the role in all tenants."""
        return self.grants.get(None)


def accounts(tenant_id: UUID | None) -> tuple[Sequence[Account], bool]:
    """Return the accounts, at most 500, by e-mail, and whether there are more.

    Args:
        tenant_id: only those that may enter this tenant; None for all.
    """
    statement = _select().order_by(ConsoleUser.email).limit(SHOWN + 1)
    if tenant_id is not None:
        may_enter = sa.select(ConsoleGrant.user_id).where(
            sa.or_(ConsoleGrant.tenant_id == tenant_id, ConsoleGrant.tenant_id.is_(None))
        )
        statement = statement.where(ConsoleUser.id.in_(may_enter))
    with transaction(None, role="console_global", who="console", read_only=True) as connection:
        found = _with_grants(connection, statement)
    return found[:SHOWN], len(found) > SHOWN


def account(user_id: UUID) -> Account | None:
    """Return one account; None when there is no such id."""
    with transaction(None, role="console_global", who="console", read_only=True) as connection:
        return next(iter(_with_grants(connection, _select().where(ConsoleUser.id == user_id))), None)


def account_named(email: str) -> Account | None:
    """Return the account of an e-mail address; None when there is none."""
    wanted = sa.func.lower(ConsoleUser.email) == email.strip().lower()
    with transaction(None, role="console_global", who="console", read_only=True) as connection:
        return next(iter(_with_grants(connection, _select().where(wanted))), None)


def live_sessions(user_id: UUID) -> Sequence[sa.Row[Any]]:
    """Return the sessions of an account that go on, the newest first."""
    with transaction(None, role="console_global", who="console", read_only=True) as connection:
        return sessions.live_of(connection, user_id)


def _select() -> sa.Select[Any]:
    columns: tuple[Any, ...] = (
        ConsoleUser.id,
        ConsoleUser.email,
        ConsoleUser.active,
        ConsoleUser.created_at,
        ConsoleUser.last_login_at,
        ConsoleUser.tf_totp_secret.is_not(None).label("second_factor"),
    )
    return sa.select(*columns)


def _with_grants(connection: Connection, statement: sa.Select[Any]) -> list[Account]:
    rows = connection.execute(statement).all()
    grants: dict[UUID, dict[UUID | None, str]] = {row.id: {} for row in rows}
    for user_id, tenant_id, role in connection.execute(
        sa.select(ConsoleGrant.user_id, ConsoleGrant.tenant_id, ConsoleGrant.role).where(
            ConsoleGrant.user_id.in_(list(grants))
        )
    ):
        grants[user_id][tenant_id] = role
    return [Account(**row._mapping, grants=grants[row.id]) for row in rows]
