"""Console accounts: made by command only. There is no registration, no recovery by mail, and no default password."""

from __future__ import annotations

import re
from uuid import UUID, uuid4

import argon2
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from admin.permissions import RANK
from skeldir_huey.db.engine import transaction
from skeldir_huey.db.tables import ConsoleAudit, ConsoleGrant, ConsoleSession, ConsoleUser, Tenant
from skeldir_huey.errors import Conflict, InputError

PASSWORD_MIN, PASSWORD_MAX = 12, 128
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,190}")
_hasher = argon2.PasswordHasher()


def create_user(email: str, password: str, role: str, tenant: str | None = None) -> UUID:
    """Make an account with one grant and return its id.

    Args:
        email: how the person signs in; upper and lower case are the same.
        password: 12 to 128 characters.
        role: viewer, operator or admin.
        tenant: name of the only tenant the role is for; None means all tenants.

    Raises:
        InputError: a value is refused; nothing was written.
        Conflict: there is such an account already.
    """
    email = check_email(email)
    _check_password(password)
    check_role(role)
    tenant_id = tenant_named(tenant) if tenant is not None else None
    with transaction(None, role="console_global", who="console") as connection:
        if find(connection, email) is not None:
            raise Conflict(f"{email}: there is such an account already")
        user_id = insert_user(connection, email, password)
        _grant(connection, user_id, email, role, tenant_id)
    return user_id


def grant_role(email: str, role: str, tenant: str | None = None) -> None:
    """Give an account a role in a tenant, or change the role it has there.

    Args:
        email: of the account.
        role: viewer, operator or admin.
        tenant: name of the tenant; None means all tenants.

    Raises:
        InputError: a value is refused, or there is no such account.
    """
    check_role(role)
    tenant_id = tenant_named(tenant) if tenant is not None else None
    with transaction(None, role="console_global", who="console") as connection:
        user = _known(connection, check_email(email))
        _grant(connection, user.id, user.email, role, tenant_id)


def set_password(email: str, password: str) -> None:
    """Give an account another password; all its sessions end.

    Raises:
        InputError: a value is refused, or there is no such account.
    """
    _check_password(password)
    with transaction(None, role="console_global", who="console") as connection:
        user = _known(connection, check_email(email))
        replace_password(connection, user.id, password)
        _audit(connection, "set_password", user.id, {"email": user.email})


def ensure_demo_user(email: str, password: str, role: str = "admin") -> UUID:
    """Make sure that this account exists with this password and this role for all tenants; safe to repeat.

    Raises:
        InputError: a value is refused.
    """
    email = check_email(email)
    _check_password(password)
    check_role(role)
    with transaction(None, role="console_global", who="console") as connection:
        user = find(connection, email)
        if user is None:
            user_id: UUID = insert_user(connection, email, password)
        else:
            user_id = user.id
            if not verify(user.password, password) or not user.active:
                replace_password(connection, user_id, password)
        _grant(connection, user_id, email, role, None)
    return user_id


def tenant_named(name: str) -> UUID:
    """Return the id of a tenant.

    Raises:
        InputError: there is no tenant of that name.
    """
    with transaction(None, role="console_all", who="console", read_only=True) as connection:
        found = connection.scalar(sa.select(Tenant.id).where(Tenant.name == name))
    if found is None:
        raise InputError("tenant", f"there is no tenant named {name!r}")
    tenant_id: UUID = found
    return tenant_id


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password, as Flask-Security reads it."""
    return _hasher.hash(password)


def verify(hashed: str, password: str) -> bool:
    """Return whether a password belongs to a hash."""
    try:
        return _hasher.verify(hashed, password)
    except (argon2.exceptions.VerifyMismatchError, argon2.exceptions.InvalidHashError):
        return False


def check_email(email: str) -> str:
    """Return an e-mail address as it is stored.

    Raises:
        InputError: it is none.
    """
    email = email.strip().lower()
    if not _EMAIL.fullmatch(email):
        raise InputError("email", f"expected an e-mail address, got {email[:80]!r}")
    return email


def _check_password(password: str) -> None:
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise InputError("password", f"expected {PASSWORD_MIN} to {PASSWORD_MAX} characters, got {len(password)}")


def check_role(role: str) -> None:
    """Let a role pass.

    Raises:
        InputError: there is no such role.
    """
    if role not in RANK:
        raise InputError("role", f"expected one of {', '.join(RANK)}, got {role!r}")


def _known(connection: Connection, email: str) -> sa.Row:
    user = find(connection, email)
    if user is None:
        raise InputError("email", f"there is no account {email}")
    return user


def replace_password(connection: Connection, user_id: UUID, password: str) -> None:
    """Give an account another password and enable it; a new fs_uniquifier ends every session with the old one."""
    connection.execute(
        sa.update(ConsoleUser)
        .where(ConsoleUser.id == user_id)
        .values(password=hash_password(password), active=True, fs_uniquifier=uuid4().hex)
    )
    connection.execute(
        sa.update(ConsoleSession)
        .where(ConsoleSession.user_id == user_id, ConsoleSession.ended_at.is_(None))
        .values(ended_at=sa.func.clock_timestamp())
    )


def find(connection: Connection, email: str) -> sa.Row | None:
    """Return the account of an address in lower case; None when there is none."""
    return connection.execute(
        sa.select(ConsoleUser.id, ConsoleUser.email, ConsoleUser.password, ConsoleUser.active).where(
            sa.func.lower(ConsoleUser.email) == email
        )
    ).one_or_none()


def insert_user(connection: Connection, email: str, password: str) -> UUID:
    """Make an account without any grant and return its id."""
    row = {"id": uuid4(), "email": email, "password": hash_password(password), "fs_uniquifier": uuid4().hex}
    made: UUID = connection.execute(sa.insert(ConsoleUser).values(row).returning(ConsoleUser.id)).scalar_one()
    return made


def _grant(connection: Connection, user_id: UUID, email: str, role: str, tenant_id: UUID | None) -> None:
    statement = insert(ConsoleGrant).values(id=uuid4(), user_id=user_id, tenant_id=tenant_id, role=role)
    changed = connection.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "user_id"],
            set_={"role": statement.excluded.role},
            where=ConsoleGrant.role != statement.excluded.role,
        ).returning(ConsoleGrant.id)
    ).scalar()
    if changed is None:
        return
    # Rows of console_grant are the global role's, so their audit rows carry the tenant in the detail instead.
    detail = {"email": email, "role": role, "tenant_id": str(tenant_id) if tenant_id else None}
    _audit(connection, "grant", user_id, detail)


def _audit(connection: Connection, action: str, user_id: UUID, detail: dict[str, str | None]) -> None:
    connection.execute(
        sa.insert(ConsoleAudit).values(
            actor="command line",
            action=action,
            target_type="console_user",
            target_id=str(user_id),
            result="ok",
            detail=detail,
        )
    )
