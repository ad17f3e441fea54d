"""Verified money, what platforms claim, and the reconciliation of the two with what was allocated."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from skeldir_huey.db.tables.base import NOW, Base, row_id, tenant_key


class LedgerEntry(Base):
    __tablename__ = "revenue_ledger"

    tenant_id: Mapped[UUID] = tenant_key()
    id: Mapped[UUID] = row_id()
    ledger_seq: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True))
    transaction_id: Mapped[str]
    order_id: Mapped[str]
    state: Mapped[str]
    amount_cents: Mapped[int] = mapped_column(sa.BigInteger)
    currency: Mapped[str]
    occurred_at: Mapped[datetime]
    source: Mapped[str]
    idempotency_key: Mapped[bytes]
    correlation_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        CheckConstraint("state in ('authorized', 'captured', 'refunded', 'chargeback')"),
        CheckConstraint("amount_cents > 0"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'"),
        Index("revenue_ledger_idempotency", "tenant_id", "idempotency_key", unique=True),
        Index("revenue_ledger_transaction", "tenant_id", "transaction_id", "ledger_seq"),
        Index("revenue_ledger_order", "tenant_id", "order_id"),
        Index("revenue_ledger_time", "tenant_id", "occurred_at"),
        Index("revenue_ledger_added", "tenant_id", "created_at"),
    )


class PlatformClaim(Base):
    __tablename__ = "platform_claims"

    tenant_id: Mapped[UUID] = tenant_key()
    id: Mapped[UUID] = row_id()
    platform: Mapped[str]
    order_id: Mapped[str]
    claimed_cents: Mapped[int] = mapped_column(sa.BigInteger)
    currency: Mapped[str]
    occurred_at: Mapped[datetime]
    source: Mapped[str]
    idempotency_key: Mapped[bytes]
    correlation_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        CheckConstraint("claimed_cents >= 0"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'"),
        Index("platform_claims_idempotency", "tenant_id", "idempotency_key", unique=True),
        Index("platform_claims_order", "tenant_id", "order_id"),
        Index("platform_claims_time", "tenant_id", "occurred_at"),
        Index("platform_claims_added", "tenant_id", "created_at"),
    )


class ExchangeRate(Base):
    __tablename__ = "exchange_rates"

    tenant_id: Mapped[UUID] = tenant_key()
    currency: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    rate_seq: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    base: Mapped[str]
    rate: Mapped[Decimal]
    source: Mapped[str]
    correlation_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        CheckConstraint("currency ~ '^[A-Z]{3}$'"),
        CheckConstraint("base ~ '^[A-Z]{3}$'"),
        CheckConstraint("rate > 0"),
        CheckConstraint("base <> currency"),
    )


class Reconciliation(Base):
    __tablename__ = "reconciliation_runs"

    tenant_id: Mapped[UUID] = tenant_key()
    id: Mapped[UUID] = row_id()
    window_start: Mapped[datetime]
    window_end: Mapped[datetime]
    model_version: Mapped[str | None]
    task_id: Mapped[str | None]
    correlation_id: Mapped[UUID | None]
    order_count: Mapped[int] = mapped_column(sa.BigInteger)
    ghost_count: Mapped[int] = mapped_column(sa.BigInteger)
    unallocated_count: Mapped[int] = mapped_column(sa.BigInteger)
    under_allocated_count: Mapped[int] = mapped_column(sa.BigInteger)
    over_allocated_count: Mapped[int] = mapped_column(sa.BigInteger)
    without_order_count: Mapped[int] = mapped_column(sa.BigInteger)
    waiting_count: Mapped[int] = mapped_column(sa.BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    reason: Mapped[str] = mapped_column(server_default=text("'asked'"))

    __table_args__ = (
        CheckConstraint("window_start < window_end"),
        CheckConstraint("reason in ('asked', 'nightly', 'changed')"),
        Index("reconciliation_runs_recent", "tenant_id", text("created_at desc"), text("id desc")),
    )


class ReconciledOrder(Base):
    __tablename__ = "reconciliation_orders"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    reconciliation_id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    claimed_cents: Mapped[int] = mapped_column(sa.BigInteger)
    verified_cents: Mapped[int] = mapped_column(sa.BigInteger)
    allocated_cents: Mapped[int] = mapped_column(sa.BigInteger)
    ghost_cents: Mapped[int] = mapped_column(sa.BigInteger)
    discrepancy_bp: Mapped[int | None] = mapped_column(sa.BigInteger)
    allocation_state: Mapped[str]

    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "reconciliation_id"],
            ["reconciliation_runs.tenant_id", "reconciliation_runs.id"],
            ondelete="CASCADE",
        ),
        CheckConstraint("allocation_state in ('matched', 'unallocated', 'under_allocated', 'over_allocated')"),
        CheckConstraint("ghost_cents = claimed_cents - verified_cents"),
    )
