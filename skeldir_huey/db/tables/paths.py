"""Journeys counted by their path, what is to be counted again, and the channel reports made of them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from skeldir_huey.db.tables.base import NOW, Base, row_id, tenant_key


class PathCount(Base):
    __tablename__ = "attribution_path_counts"

    tenant_id: Mapped[UUID] = tenant_key()
    day: Mapped[date] = mapped_column(sa.Date, primary_key=True)
    path_hash: Mapped[bytes] = mapped_column(primary_key=True)
    path: Mapped[str]
    conversion_count: Mapped[int] = mapped_column(sa.BigInteger)
    null_count: Mapped[int] = mapped_column(sa.BigInteger)
    cents: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))

    __table_args__ = (
        CheckConstraint("path <> ''"),
        CheckConstraint("conversion_count >= 0"),
        CheckConstraint("null_count >= 0"),
    )


class DirtyDays(Base):
    __tablename__ = "attribution_dirty_days"

    tenant_id: Mapped[UUID] = tenant_key()
    id: Mapped[UUID] = row_id()
    first_day: Mapped[date] = mapped_column(sa.Date)
    last_day: Mapped[date] = mapped_column(sa.Date)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (CheckConstraint("first_day <= last_day"),)


class ChannelReport(Base):
    __tablename__ = "attribution_channel_reports"

    tenant_id: Mapped[UUID] = tenant_key()
    report_id: Mapped[UUID] = mapped_column(primary_key=True)
    channel_code: Mapped[str] = mapped_column(sa.Text(collation="C"), primary_key=True)
    report_type: Mapped[str]
    chain_order: Mapped[int | None]
    dedupe: Mapped[str]
    first_day: Mapped[date] = mapped_column(sa.Date)
    last_day: Mapped[date] = mapped_column(sa.Date)
    conversion_count: Mapped[int] = mapped_column(sa.BigInteger)
    null_count: Mapped[int] = mapped_column(sa.BigInteger)
    seed: Mapped[int] = mapped_column(sa.BigInteger)
    draw_count: Mapped[int]
    kept_draw_count: Mapped[int]
    removal_effect: Mapped[Decimal | None] = mapped_column(sa.Numeric(16, 15))
    share: Mapped[Decimal] = mapped_column(sa.Numeric(16, 15))
    share_low: Mapped[Decimal] = mapped_column(sa.Numeric(16, 15))
    share_high: Mapped[Decimal] = mapped_column(sa.Numeric(16, 15))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        CheckConstraint("report_type in ('markov_global', 'shapley_set')"),
        CheckConstraint("chain_order between 1 and 3"),
        CheckConstraint("dedupe in ('none', 'consecutive', 'unique')"),
        CheckConstraint("(report_type = 'markov_global') = (chain_order is not null)"),
        CheckConstraint("first_day <= last_day"),
        Index("attribution_channel_reports_recent", "tenant_id", text("created_at desc"), "report_id"),
    )
