"""Versions of models, runs, and the money that they allocate."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from skeldir_huey.db.tables.base import NOW, Base, row_id, tenant_key


class ModelVersion(Base):
    __tablename__ = "attribution_models"

    tenant_id: Mapped[UUID] = tenant_key()
    model_version: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    version: Mapped[str]
    model_type: Mapped[str]
    params: Mapped[dict[str, Any]]
    params_hash: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        CheckConstraint("model_version ~ '^[a-z0-9_]+@[0-9A-Za-z.+_-]+$'"),
        CheckConstraint("model_version = name || '@' || version"),
    )


class Published(Base):
    __tablename__ = "attribution_published"

    tenant_id: Mapped[UUID] = tenant_key()
    model_version: Mapped[str]
    published_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "model_version"], ["attribution_models.tenant_id", "attribution_models.model_version"]
        ),
    )


class Run(Base):
    __tablename__ = "attribution_recompute_jobs"

    tenant_id: Mapped[UUID] = tenant_key()
    id: Mapped[UUID] = row_id()
    window_start: Mapped[datetime]
    window_end: Mapped[datetime]
    model_version: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="pending")
    run_count: Mapped[int] = mapped_column(server_default=text("0"))
    last_correlation_id: Mapped[UUID | None]
    task_id: Mapped[str | None]
    conversion_count: Mapped[int | None] = mapped_column(sa.BigInteger)
    allocation_count: Mapped[int | None] = mapped_column(sa.BigInteger)
    changed_count: Mapped[int | None] = mapped_column(sa.BigInteger)
    checksum: Mapped[bytes | None]
    error_message: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(server_default="asked")
    checksum_before: Mapped[bytes | None]
    totals_before: Mapped[dict[str, Any] | None]
    totals_after: Mapped[dict[str, Any] | None]
    stale_since: Mapped[datetime | None]

    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "model_version"], ["attribution_models.tenant_id", "attribution_models.model_version"]
        ),
        CheckConstraint("reason in ('asked', 'dirty', 'backfill')"),
        CheckConstraint("status in ('pending', 'running', 'succeeded', 'failed')"),
        CheckConstraint("window_start < window_end"),
        Index(
            "attribution_recompute_jobs_identity",
            "tenant_id",
            "window_start",
            "window_end",
            "model_version",
            unique=True,
        ),
        Index("attribution_recompute_jobs_recent", "tenant_id", text("created_at desc"), text("id desc")),
        Index("attribution_recompute_jobs_correlation", "last_correlation_id"),
        Index("attribution_recompute_jobs_all", text("created_at desc"), text("id desc")),
        Index("attribution_recompute_jobs_status", "status", text("created_at desc"), text("id desc")),
        Index(
            "attribution_recompute_jobs_task",
            "tenant_id",
            "task_id",
            postgresql_where=text("status in ('pending', 'running')"),
        ),
    )


class Allocation(Base):
    __tablename__ = "attribution_allocations"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    model_version: Mapped[str] = mapped_column(primary_key=True)
    channel_code: Mapped[str] = mapped_column(sa.Text(collation="C"), primary_key=True)
    allocation_ratio: Mapped[Decimal] = mapped_column(sa.Numeric(12, 10))
    allocated_revenue_cents: Mapped[int] = mapped_column(sa.BigInteger)
    currency: Mapped[str]
    is_fallback: Mapped[bool]
    model_type: Mapped[str]
    run_id: Mapped[UUID]
    converted_at: Mapped[datetime]
    is_adjustment: Mapped[bool] = mapped_column(server_default=sa.false())

    __table_args__ = (
        Index(
            "attribution_allocations_time",
            "tenant_id",
            "model_version",
            text("converted_at desc"),
            text("event_id desc"),
        ),
    )


class Backfill(Base):
    __tablename__ = "backfills"

    tenant_id: Mapped[UUID] = tenant_key()
    id: Mapped[UUID] = row_id()
    model_version: Mapped[str]
    range_start: Mapped[datetime]
    range_end: Mapped[datetime]
    done_until: Mapped[datetime]
    status: Mapped[str] = mapped_column(server_default="running")
    correlation_id: Mapped[UUID]
    error_message: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "model_version"], ["attribution_models.tenant_id", "attribution_models.model_version"]
        ),
        CheckConstraint("status in ('running', 'succeeded', 'failed', 'cancelled')"),
        CheckConstraint("range_start < range_end"),
        CheckConstraint("done_until between range_start and range_end"),
        Index("backfills_recent", "tenant_id", text("created_at desc"), text("id desc")),
    )
