"""Operators, what they may do, and what they did."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index, text
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

    __table_args__ = (
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

    __table_args__ = (
        Index("console_audit_recent", "tenant_id", text("at desc"), text("id desc")),
        Index("console_audit_target", "target_type", "target_id", "id"),
    )
