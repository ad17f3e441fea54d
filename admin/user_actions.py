"""The verbs on accounts: each checks the permission and the fresh sign-in, acts, and writes its audit row at once."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection, Row
from werkzeug.exceptions import Forbidden

from admin import sessions, users
from admin.actions import acting
from admin.permissions import require_fresh
from admin.trail import record, who_was_first
from skeldir_huey.db.engine import enter
from skeldir_huey.db.tables import ConsoleGrant, ConsoleUser
from skeldir_huey.errors import Conflict, NotFound

TARGET = "console_user"


def create(user: Any, email: str, role: str, tenant_id: UUID | None, reason: str) -> tuple[UUID, str]:
    """Make an account with one grant; returns its id and its first password, which is shown once.

    Raises:
        StaleSignIn, Forbidden: only an admin of all tenants may, with a fresh sign-in.
        InputError: a value is refused.
        Conflict: there is such an account already.
    """
    email, password = users.check_email(email), new_password()
    users.check_role(role)
    with managing(user, None) as connection:
        if users.find(connection, email) is not None:
            raise Conflict(f"There is an account {email} already. Nothing was changed.")
        user_id = users.insert_user(connection, email, password)
        _put_grant(connection, user_id, tenant_id, role)
        detail = {"email": email, "after": {"role": role, "tenant": _name(tenant_id)}}
        record(connection, user.email, "create_user", TARGET, str(user_id), reason=reason, detail=detail)
    return user_id, password


def grant(user: Any, target_id: UUID, tenant_id: UUID | None, role: str, reason: str) -> None:
    """Give an account a role in a tenant, None for all, or change the role that it has there.

    Raises:
        StaleSignIn, Forbidden: only an admin there may, with a fresh sign-in, and nobody for themselves.
        NotFound: no such account.
        Conflict: it has that role there.
    """
    users.check_role(role)
    with managing(user, tenant_id) as connection:
        target = _other(connection, user, target_id)
        before = _role(connection, target_id, tenant_id)
        if before == role:
            raise Conflict(_first(connection, target, f"is {role} there already."))
        _put_grant(connection, target_id, tenant_id, role)
        _note_grant(connection, user, target, "grant", tenant_id, before, role, reason)


def revoke(user: Any, target_id: UUID, tenant_id: UUID | None, reason: str) -> None:
    """Take away the role that an account has in a tenant, None for the role in all tenants; it holds at once.

    Raises:
        StaleSignIn, Forbidden, NotFound: as `grant`.
        Conflict: it has no role there.
    """
    with managing(user, tenant_id) as connection:
        target = _other(connection, user, target_id)
        before = _role(connection, target_id, tenant_id)
        if before is None:
            raise Conflict(_first(connection, target, "has no role there any more."))
        connection.execute(
            sa.delete(ConsoleGrant).where(
                ConsoleGrant.user_id == target_id, ConsoleGrant.tenant_id.is_not_distinct_from(tenant_id)
            )
        )
        _note_grant(connection, user, target, "revoke", tenant_id, before, None, reason)


def set_active(user: Any, target_id: UUID, active: bool, reason: str) -> None:
    """Disable an account, which ends its sessions, or enable it again.

    Raises:
        StaleSignIn, Forbidden, NotFound: as `create`, and nobody disables themselves.
        Conflict: it is so already.
    """
    with managing(user, None) as connection:
        target = _other(connection, user, target_id)
        if target.active == active:
            raise Conflict(_first(connection, target, f"is {'enabled' if active else 'disabled'} already."))
        connection.execute(sa.update(ConsoleUser).where(ConsoleUser.id == target_id).values(active=active))
        ended = 0 if active else sessions.end(connection, target_id)
        action = "enable_user" if active else "disable_user"
        _note(connection, user, target, action, reason, {"ended_sessions": ended})


def reset_password(user: Any, target_id: UUID, reason: str) -> str:
    """Give an account another password, shown once; its sessions end.

    Raises:
        StaleSignIn, Forbidden, NotFound: as `set_active`.
        Conflict: it is disabled.
    """
    password = new_password()
    with managing(user, None) as connection:
        target = _other(connection, user, target_id)
        if not target.active:
            raise Conflict(f"{target.email} is disabled. Enable the account first.")
        users.replace_password(connection, target_id, password)
        _note(connection, user, target, "reset_password", reason, {})
    return password


def reset_second_factor(user: Any, target_id: UUID, reason: str) -> None:
    """Take the second factor and its recovery codes off an account, for somebody who lost both.

    Raises:
        StaleSignIn, Forbidden, NotFound: as `set_active`.
        Conflict: it has none.
    """
    with managing(user, None) as connection:
        target = _other(connection, user, target_id)
        if target.tf_totp_secret is None:
            raise Conflict(_first(connection, target, "has no second factor."))
        cleared = {"tf_primary_method": None, "tf_totp_secret": None, "mf_recovery_codes": None}
        connection.execute(sa.update(ConsoleUser).where(ConsoleUser.id == target_id).values(cleared))
        _note(connection, user, target, "reset_second_factor", reason, {})


def _first(connection: Connection, target: Row, state: str) -> str:
    return who_was_first(connection, TARGET, str(target.id), f"{target.email} {state}")


def new_password() -> str:
    """Return a random password of 20 characters."""
    return secrets.token_urlsafe(15)


@contextmanager
def managing(user: Any, tenant_id: UUID | None) -> Iterator[Connection]:
    """Open the transaction of a verb on accounts: one at a time, by somebody who is an admin there at this moment."""
    require_fresh()
    with acting(user, "users", tenant_id, role="console_global") as connection:
        key = sa.func.hashtextextended("console accounts", 0)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
        # Two admins who revoke each other at once: the second is none any more.
        if "admin" not in {_role(connection, user.id, None), tenant_id and _role(connection, user.id, tenant_id)}:
            raise Forbidden("You are not an admin any more.")
        yield connection


def _other(connection: Connection, user: Any, target_id: UUID) -> Row[Any]:
    table = ConsoleUser.__table__
    target = connection.execute(sa.select(table).where(table.c.id == target_id)).one_or_none()
    if target is None:
        raise NotFound("no such account")
    if target.id == user.id:
        raise Forbidden("Nobody changes their own rights: ask another admin, or use the command line.")
    return target


def _role(connection: Connection, user_id: UUID, tenant_id: UUID | None) -> str | None:
    found: str | None = connection.scalar(
        sa.select(ConsoleGrant.role).where(
            ConsoleGrant.user_id == user_id, ConsoleGrant.tenant_id.is_not_distinct_from(tenant_id)
        )
    )
    return found


def _put_grant(connection: Connection, user_id: UUID, tenant_id: UUID | None, role: str) -> None:
    statement = insert(ConsoleGrant).values(id=uuid4(), user_id=user_id, tenant_id=tenant_id, role=role)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["tenant_id", "user_id"], set_={"role": statement.excluded.role})
    )


def _note_grant(
    connection: Connection,
    user: Any,
    target: Row[Any],
    action: str,
    tenant_id: UUID | None,
    before: str | None,
    after: str | None,
    reason: str,
) -> None:
    detail = {"email": target.email, "before": {"role": before}, "after": {"role": after}}
    if tenant_id is not None:
        # Last in the transaction: it belongs into the audit log of that tenant, which only its own role may write.
        enter(connection, tenant_id, "console_tenant")
    record(connection, user.email, action, TARGET, str(target.id), tenant_id=tenant_id, reason=reason, detail=detail)


def _note(
    connection: Connection, user: Any, target: Row[Any], action: str, reason: str, detail: dict[str, Any]
) -> None:
    detail = {"email": target.email} | detail
    record(connection, user.email, action, TARGET, str(target.id), reason=reason, detail=detail)


def _name(tenant_id: UUID | None) -> str:
    return str(tenant_id) if tenant_id else "all"
