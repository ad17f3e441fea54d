"""Errors of dead jobs: how often, what operators decided; and operations on many dead letters."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from skeldir_huey.db.tables.base import NOW, Base, row_id


class _Counts:
    """How often an error was seen on a day, and how many of its letters opened or closed."""

    tenant_id: Mapped[UUID | None]
    fingerprint: Mapped[str]
    day: Mapped[date]
    seen_count: Mapped[int] = mapped_column(sa.BigInteger)
    open_count: Mapped[int] = mapped_column(sa.BigInteger)
    first_at: Mapped[datetime | None]
    last_at: Mapped[datetime | None]


class ErrorDelta(_Counts, Base):
    """Counts of one error, insert-only: written by triggers of worker_failed_jobs."""

    __tablename__ = "error_delta"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True, sort_order=-1)
    task_name: Mapped[str]
    exception_class: Mapped[str | None]
    error_message: Mapped[str]

    __table_args__ = ({"schema": "huey"},)


class ErrorTotal(_Counts, Base):
    """Deltas folded together, by day. The sum of `open_count` is the number of pending letters."""

    __tablename__ = "error_total"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True, sort_order=-1)

    __table_args__ = (
        Index("error_total_key", "tenant_id", "fingerprint", "day", unique=True, postgresql_nulls_not_distinct=True),
        {"schema": "huey"},
    )


class ErrorGroup(Base):
    """What an error is, and what operators decided about it in a tenant."""

    __tablename__ = "error_group"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    tenant_id: Mapped[UUID | None]
    fingerprint: Mapped[str]
    task_name: Mapped[str]
    exception_class: Mapped[str | None]
    error_message: Mapped[str]
    state: Mapped[str | None]
    fixed_in: Mapped[str | None]
    ignored_until: Mapped[datetime | None]
    note: Mapped[str | None]
    owner: Mapped[str | None]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    canary_letter_id: Mapped[UUID | None]
    canary_task_id: Mapped[str | None]
    canary_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("state in ('acknowledged', 'fixed', 'ignored')"),
        CheckConstraint("(state is null) = (decided_at is null)"),
        CheckConstraint("(state = 'fixed') = (fixed_in is not null)"),
        CheckConstraint("(state = 'ignored') = (ignored_until is not null)"),
        Index("error_group_key", "tenant_id", "fingerprint", unique=True, postgresql_nulls_not_distinct=True),
        {"schema": "huey"},
    )


class BulkOperation(Base):
    """One act on many letters; tenant null: in all tenants."""

    __tablename__ = "bulk_operation"

    id: Mapped[UUID] = row_id()
    tenant_id: Mapped[UUID | None]
    verb: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="draft")
    filter: Mapped[dict[str, Any]]
    drafted_at: Mapped[datetime]
    cutoff_at: Mapped[datetime]
    cutoff_id: Mapped[UUID]
    source_id: Mapped[UUID | None]
    item_count: Mapped[int] = mapped_column(sa.BigInteger)
    shares: Mapped[list[Any]]
    samples: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    rate: Mapped[int | None]
    reason: Mapped[str | None]
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    confirmed_by: Mapped[str | None]
    confirmed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    last_error: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("verb in ('replay', 'abandon', 'reopen')"),
        CheckConstraint("state in ('draft', 'running', 'paused', 'stopped', 'cancelled', 'done')"),
        CheckConstraint("rate > 0"),
        Index("bulk_operation_recent", text("created_at desc"), text("id desc")),
        {"schema": "huey"},
    )


class BulkShare(Base):
    """How far an operation has come in one tenant."""

    __tablename__ = "bulk_share"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    operation_id: Mapped[UUID]
    tenant_id: Mapped[UUID | None]
    item_count: Mapped[int] = mapped_column(sa.BigInteger)
    done_count: Mapped[int] = mapped_column(sa.BigInteger, server_default=text("0"))
    failed_count: Mapped[int] = mapped_column(sa.BigInteger, server_default=text("0"))
    skipped: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    cursor_at: Mapped[datetime | None]
    cursor_id: Mapped[UUID | None]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        Index("bulk_share_key", "operation_id", "tenant_id", unique=True, postgresql_nulls_not_distinct=True),
        {"schema": "huey"},
    )


class BulkItem(Base):
    """What an operation did to one letter."""

    __tablename__ = "bulk_item"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    operation_id: Mapped[UUID]
    tenant_id: Mapped[UUID | None]
    letter_id: Mapped[UUID]
    result: Mapped[str]
    detail: Mapped[str | None]
    task_id: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        CheckConstraint("result in ('done', 'skipped', 'failed')"),
        Index("bulk_item_key", "operation_id", "letter_id", unique=True),
        Index("bulk_item_letter", "letter_id"),
        {"schema": "huey"},
    )
