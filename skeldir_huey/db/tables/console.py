"""Operators, what they may do, and what they did."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from skeldir_huey.db.tables.base import NOW, Base, row_id


class ConsoleUser(Base):
    __tablename__ = "console_user"

    id: Mapped[UUID] = row_id()
    email: Mapped[str]
    password: Mapped[str]
    active: Mapped[bool] = mapped_column(server_default=sa.true())
    fs_uniquifier: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    last_login_at: Mapped[datetime | None]
    tf_primary_method: Mapped[str | None]
    tf_totp_secret: Mapped[str | None]
    tf_last_counter: Mapped[int | None] = mapped_column(sa.BigInteger)
    mf_recovery_codes: Mapped[list[str] | None] = mapped_column(ARRAY(sa.Text()))
    theme: Mapped[str | None]
    time_zone: Mapped[str] = mapped_column(server_default=text("'UTC'"))
    refresh_s: Mapped[int] = mapped_column(server_default=text("5"))

    __table_args__ = (
        CheckConstraint("theme in ('light', 'dark')"),
        CheckConstraint("refresh_s >= 0"),
        Index("console_user_email", text("lower(email)"), unique=True),
        Index("console_user_uniquifier", "fs_uniquifier", unique=True),
    )


class ConsoleGrant(Base):
    """What a user may do in a tenant; tenant null: in all tenants."""

    __tablename__ = "console_grant"

    id: Mapped[UUID] = row_id()
    user_id: Mapped[UUID] = mapped_column(ForeignKey("console_user.id", ondelete="CASCADE"))
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenants.id"))
    role: Mapped[str]

    __table_args__ = (
        CheckConstraint("role in ('viewer', 'operator', 'admin')"),
        Index("console_grant_scope", "tenant_id", "user_id", unique=True, postgresql_nulls_not_distinct=True),
    )


class ConsoleSession(Base):
    """A sign-in, from its start until it is ended or 8 hours old."""

    __tablename__ = "console_session"

    id: Mapped[UUID] = row_id()
    user_id: Mapped[UUID] = mapped_column(ForeignKey("console_user.id", ondelete="CASCADE"))
    started_at: Mapped[datetime] = mapped_column(server_default=NOW)
    ended_at: Mapped[datetime | None]
    source_address: Mapped[str | None]
    user_agent: Mapped[str | None]

    __table_args__ = (Index("console_session_user", "user_id", text("started_at desc")),)


class ConsoleAttempt(Base):
    """An attempt to sign in, under the hash of its address, its account or both."""

    __tablename__ = "console_attempt"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    key: Mapped[bytes]
    at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (Index("console_attempt_key", "key", "at"), Index("console_attempt_at", "at"))


class ConsoleAudit(Base):
    __tablename__ = "console_audit"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenants.id"))
    at: Mapped[datetime] = mapped_column(server_default=NOW)
    actor: Mapped[str]
    source_address: Mapped[str | None]
    action: Mapped[str]
    target_type: Mapped[str]
    target_id: Mapped[str]
    reason: Mapped[str | None]
    result: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    request_id: Mapped[UUID | None]
    # A trigger fills these, and `at`: the place in the tenant's chain, the hash of the row before, and this row's.
    chain_no: Mapped[int] = mapped_column(sa.BigInteger, server_default=sa.FetchedValue())
    prev_hash: Mapped[bytes] = mapped_column(server_default=sa.FetchedValue())
    hash: Mapped[bytes] = mapped_column(server_default=sa.FetchedValue())

    __table_args__ = (
        Index("console_audit_chain", "tenant_id", "chain_no", unique=True, postgresql_nulls_not_distinct=True),
        Index("console_audit_time", text("at desc"), text("id desc")),
        Index("console_audit_actor", "actor", text("at desc"), text("id desc")),
        Index("console_audit_action", "action", text("at desc"), text("id desc")),
        Index("console_audit_recent", "tenant_id", text("at desc"), text("id desc")),
        Index("console_audit_target", "target_type", "target_id", "id"),
    )


class AuditHead(Base):
    """The end of a chain of audit rows: how long it is, and the hash of its last row."""

    __tablename__ = "console_audit_head"

    id: Mapped[UUID] = row_id()
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenants.id"))
    length: Mapped[int] = mapped_column(sa.BigInteger)
    hash: Mapped[bytes]

    __table_args__ = (Index("console_audit_head_chain", "tenant_id", unique=True, postgresql_nulls_not_distinct=True),)
