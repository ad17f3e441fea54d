"""What reports are made from: marks of change, summaries by day, refreshes, and the totals of removed months."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from skeldir_huey.db.tables.base import NOW, Base, row_id, tenant_key


class ReportChange(Base):
    """A range of days whose change a summary or materialized view does not show yet."""

    __tablename__ = "report_changes"

    tenant_id: Mapped[UUID] = tenant_key()
    id: Mapped[UUID] = row_id()
    target: Mapped[str]
    model_version: Mapped[str | None]
    first_day: Mapped[date]
    last_day: Mapped[date]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (CheckConstraint("first_day <= last_day"),)


class MatviewRefresh(Base):
    """One refresh of a materialized view or summary: when, how many rows, how it ended, who asked."""

    __tablename__ = "matview_refresh"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    view_name: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(server_default=NOW)
    ended_at: Mapped[datetime | None]
    row_count: Mapped[int | None] = mapped_column(sa.BigInteger)
    outcome: Mapped[str] = mapped_column(server_default="running")
    asked_by: Mapped[str]
    error_message: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("outcome in ('running', 'refreshed', 'unchanged', 'skipped', 'failed')"),
        CheckConstraint("(outcome = 'running') = (ended_at is null)"),
        Index("matview_refresh_recent", "view_name", text("started_at desc"), text("id desc")),
    )


class AllocationDay(Base):
    __tablename__ = "allocation_days"

    tenant_id: Mapped[UUID] = tenant_key()
    model_version: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    channel_code: Mapped[str] = mapped_column(sa.Text(collation="C"), primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    conversion_count: Mapped[int] = mapped_column(sa.BigInteger)
    credit: Mapped[Decimal] = mapped_column(sa.Numeric())
    allocation_count: Mapped[int] = mapped_column(sa.BigInteger)
    whole_credit: Mapped[Decimal] = mapped_column(sa.Numeric())
    allocated_revenue_cents: Mapped[int] = mapped_column(sa.BigInteger)
    fallback_revenue_cents: Mapped[int] = mapped_column(sa.BigInteger)
    first_converted_at: Mapped[datetime]
    last_converted_at: Mapped[datetime]


class RevenueDay(Base):
    __tablename__ = "revenue_days"

    tenant_id: Mapped[UUID] = tenant_key()
    day: Mapped[date] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    conversion_count: Mapped[int] = mapped_column(sa.BigInteger)
    revenue_cents: Mapped[int] = mapped_column(sa.BigInteger)
    adjustment_count: Mapped[int] = mapped_column(sa.BigInteger)
    adjustment_cents: Mapped[int] = mapped_column(sa.BigInteger)


class Retention(Base):
    """How long a tenant's data is kept (null: the default), and up to where it was removed."""

    __tablename__ = "retention"

    tenant_id: Mapped[UUID] = tenant_key()
    keep_days: Mapped[int | None]
    removed_before: Mapped[datetime | None]
    events_removed_before: Mapped[datetime | None]
    swept_before: Mapped[datetime | None]
    advanced_at: Mapped[datetime | None]

    __table_args__ = (CheckConstraint("keep_days between 30 and 3650"),)


class AllocationMonth(Base):
    __tablename__ = "allocation_months"

    tenant_id: Mapped[UUID] = tenant_key()
    month: Mapped[date] = mapped_column(primary_key=True)
    model_version: Mapped[str] = mapped_column(primary_key=True)
    channel_code: Mapped[str] = mapped_column(sa.Text(collation="C"), primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    conversion_count: Mapped[int] = mapped_column(sa.BigInteger)
    credit: Mapped[Decimal] = mapped_column(sa.Numeric())
    allocated_revenue_cents: Mapped[int] = mapped_column(sa.BigInteger)
    frozen_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (CheckConstraint("extract(day from month) = 1"),)


class RevenueMonth(Base):
    __tablename__ = "revenue_months"

    tenant_id: Mapped[UUID] = tenant_key()
    month: Mapped[date] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    conversion_count: Mapped[int] = mapped_column(sa.BigInteger)
    revenue_cents: Mapped[int] = mapped_column(sa.BigInteger)
    adjustment_count: Mapped[int] = mapped_column(sa.BigInteger)
    adjustment_cents: Mapped[int] = mapped_column(sa.BigInteger)
    frozen_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (CheckConstraint("extract(day from month) = 1"),)


class PiiFinding(Base):
    """A stored row with a key of personal data: where, and which key; never the value."""

    __tablename__ = "pii_audit_findings"

    tenant_id: Mapped[UUID] = tenant_key()
    id: Mapped[UUID] = row_id()
    source: Mapped[str]
    row_key: Mapped[str]
    key_name: Mapped[str]
    found_at: Mapped[datetime] = mapped_column(server_default=NOW)
    last_seen_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        CheckConstraint("source in ('attribution_events', 'dead_events', 'worker_failed_jobs', 'huey.job')"),
        Index("pii_audit_findings_place", "tenant_id", "source", "row_key", "key_name", unique=True),
    )
