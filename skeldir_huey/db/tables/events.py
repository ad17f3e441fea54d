"""Tenants, channels, and what came in: events, refused events, ranges that they made dirty."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from skeldir_huey.db.tables.base import NOW, RANDOM_ID, Base, row_id, tenant_key


class Tenant(Base):
    __tablename__ = "tenants"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_ID)
    name: Mapped[str] = mapped_column(unique=True)
    display_name: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="active")
    identity_policy: Mapped[str] = mapped_column(server_default="session")
    timezone: Mapped[str] = mapped_column(server_default="UTC")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        CheckConstraint("name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'"),
        CheckConstraint("state in ('active', 'suspended')"),
        CheckConstraint("identity_policy in ('session', 'consented')"),
    )


class Channel(Base):
    __tablename__ = "channel_taxonomy"

    code: Mapped[str] = mapped_column(primary_key=True)
    family: Mapped[str]
    is_paid: Mapped[bool]
    display_name: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="active")

    __table_args__ = (CheckConstraint("state in ('active', 'deprecated')"),)


class EventKind(Base):
    __tablename__ = "event_kinds"

    tenant_id: Mapped[UUID] = tenant_key()
    event_type: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    needs_channel: Mapped[bool] = mapped_column(server_default=sa.false())

    __table_args__ = (CheckConstraint("kind in ('touch', 'conversion', 'adjustment', 'other')"),)


class Event(Base):
    __tablename__ = "attribution_events"

    tenant_id: Mapped[UUID] = tenant_key()
    id: Mapped[UUID] = row_id()
    ingest_seq: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True))
    occurred_at: Mapped[datetime]
    ingested_at: Mapped[datetime] = mapped_column(server_default=NOW)
    event_type: Mapped[str]
    kind: Mapped[str]
    journey_key: Mapped[UUID]
    session_id: Mapped[UUID]
    visitor_id: Mapped[UUID | None]
    channel: Mapped[str] = mapped_column(ForeignKey("channel_taxonomy.code"))
    campaign_id: Mapped[str | None]
    revenue_cents: Mapped[int | None] = mapped_column(sa.BigInteger)
    currency: Mapped[str | None]
    order_id: Mapped[str | None]
    parent_event_id: Mapped[UUID | None]
    external_event_id: Mapped[str | None]
    idempotency_key: Mapped[bytes]
    correlation_id: Mapped[UUID | None]
    raw_payload: Mapped[dict[str, Any] | None]

    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "parent_event_id"], ["attribution_events.tenant_id", "attribution_events.id"]
        ),
        CheckConstraint("kind in ('touch', 'conversion', 'adjustment', 'other')"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'"),
        CheckConstraint("(revenue_cents is null) = (currency is null)"),
        CheckConstraint("kind not in ('conversion', 'adjustment') or revenue_cents is not null"),
        CheckConstraint("kind <> 'conversion' or revenue_cents >= 0"),
        CheckConstraint("kind <> 'adjustment' or (revenue_cents <= 0 and parent_event_id is not null)"),
        Index("attribution_events_idempotency", "tenant_id", "idempotency_key", unique=True),
        Index(
            "attribution_events_valued",
            "tenant_id",
            "occurred_at",
            "ingest_seq",
            postgresql_where=text("kind in ('conversion', 'adjustment')"),
        ),
        Index(
            "attribution_events_journey",
            "tenant_id",
            "journey_key",
            "occurred_at",
            "ingest_seq",
            postgresql_include=["kind", "channel"],
            postgresql_where=text("kind in ('touch', 'conversion')"),
        ),
        Index(
            "attribution_events_adjustments",
            "tenant_id",
            "parent_event_id",
            "occurred_at",
            "ingest_seq",
            postgresql_where=text("kind = 'adjustment'"),
        ),
        Index(
            "attribution_events_parent",
            "tenant_id",
            "parent_event_id",
            postgresql_where=text("parent_event_id is not null"),
        ),
        Index(
            "attribution_events_order",
            "tenant_id",
            "order_id",
            postgresql_where=text("kind = 'conversion' and order_id is not null"),
        ),
    )


class WaitingAdjustment(Base):
    __tablename__ = "waiting_adjustments"

    tenant_id: Mapped[UUID] = tenant_key()
    id: Mapped[UUID] = row_id()
    source: Mapped[str]
    line: Mapped[int | None] = mapped_column(sa.BigInteger)
    order_id: Mapped[str]
    occurred_at: Mapped[datetime]
    event_type: Mapped[str]
    revenue_cents: Mapped[int] = mapped_column(sa.BigInteger)
    currency: Mapped[str]
    idempotency_key: Mapped[bytes]
    correlation_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        CheckConstraint("revenue_cents < 0"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'"),
        Index("waiting_adjustments_idempotency", "tenant_id", "idempotency_key", unique=True),
        Index("waiting_adjustments_order", "tenant_id", "order_id"),
    )


class DeadEvent(Base):
    __tablename__ = "dead_events"

    tenant_id: Mapped[UUID] = tenant_key()
    id: Mapped[UUID] = row_id()
    source: Mapped[str]
    line: Mapped[int | None] = mapped_column(sa.BigInteger)
    idempotency_key: Mapped[bytes]
    payload: Mapped[dict[str, Any]]
    error_type: Mapped[str]
    error_field: Mapped[str | None]
    error_message: Mapped[str]
    retry_count: Mapped[int] = mapped_column(server_default=text("0"))
    last_retry_at: Mapped[datetime | None]
    remediation_status: Mapped[str] = mapped_column(server_default="pending")
    notes: Mapped[str | None]
    correlation_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    resolved_at: Mapped[datetime | None]
    reading: Mapped[dict[str, Any] | None]
    redacted_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("error_type in ('transient', 'permanent')"),
        CheckConstraint("remediation_status in ('pending', 'in_progress', 'resolved', 'ignored')"),
        Index("dead_events_idempotency", "tenant_id", "idempotency_key", unique=True),
        Index("dead_events_recent", "tenant_id", text("created_at desc"), text("id desc")),
        Index("dead_events_status", "remediation_status", text("created_at desc"), text("id desc")),
        Index("dead_events_all", text("created_at desc"), text("id desc")),
    )


class IngestTotal(Base):
    """What all imports together accepted, found there already, and refused; in shards, so that they seldom wait."""

    __tablename__ = "ingest_total"

    outcome: Mapped[str] = mapped_column(primary_key=True)
    shard: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    event_count: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (
        CheckConstraint("outcome in ('accepted', 'duplicate', 'refused')"),
        CheckConstraint("shard between 0 and 15"),
    )


class DirtyRange(Base):
    __tablename__ = "attribution_dirty_ranges"

    tenant_id: Mapped[UUID] = tenant_key()
    id: Mapped[UUID] = row_id()
    range_start: Mapped[datetime]
    range_end: Mapped[datetime]
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (CheckConstraint("range_start < range_end"),)
