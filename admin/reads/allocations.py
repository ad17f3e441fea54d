"""Allocations of one tenant: per channel against the revenue they split, and one sale with its journey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from admin.params import After
from admin.reads.pages import Page, read_page
from skeldir_huey.db.tables import Allocation, Channel, Event, ModelVersion, Published

TOUCH_LIMIT = 200
MAX_LOOKBACK = timedelta(days=90)


@dataclass(frozen=True)
class CurrencyTable:
    """One currency under one model version: its channels, their sum, and the revenue of the events they split."""

    currency: str
    channels: Sequence[Row]
    event_count: int
    revenue_cents: int

    @property
    def sum_cents(self) -> int:
        return sum(row.cents for row in self.channels)

    @property
    def sum_credit(self) -> Any:
        return sum(row.credit for row in self.channels)

    @property
    def difference_cents(self) -> int:
        return self.sum_cents - self.revenue_cents

    def share(self, cents: int) -> float | None:
        """Return a channel's part of the sum; None when the sum is zero."""
        return cents / self.sum_cents if self.sum_cents else None


def versions(connection: Connection) -> Sequence[Row]:
    """Return the tenant's model versions, the published one first, then the newest."""
    published = sa.select(Published.model_version).scalar_subquery()
    is_published = (ModelVersion.model_version == sa.func.coalesce(published, "")).label("is_published")
    return connection.execute(
        sa.select(ModelVersion.model_version, ModelVersion.params, ModelVersion.model_type, is_published).order_by(
            is_published.desc(), ModelVersion.created_at.desc(), ModelVersion.model_version
        )
    ).all()


def by_channel(connection: Connection, model_version: str) -> list[CurrencyTable]:
    """Return one table per currency: amounts are never added across currencies."""
    channels = connection.execute(
        sa.select(
            Allocation.currency,
            Allocation.channel_code.label("channel"),
            sa.func.max(Channel.display_name).label("display_name"),
            sa.func.bool_or(Channel.is_paid).label("is_paid"),
            sa.func.count().label("event_count"),
            sa.func.sum(Allocation.allocation_ratio).label("credit"),
            sa.cast(sa.func.sum(Allocation.allocated_revenue_cents), sa.BigInteger).label("cents"),
            sa.func.count().filter(Allocation.is_fallback).label("fallback_count"),
        )
        .join(Channel, Channel.code == Allocation.channel_code, isouter=True)
        .where(Allocation.model_version == model_version)
        .group_by(Allocation.currency, Allocation.channel_code)
        .order_by(Allocation.currency, sa.text("cents desc"), Allocation.channel_code)
    ).all()
    allocated = sa.select(Allocation.event_id).where(Allocation.model_version == model_version).distinct().subquery()
    revenue = {
        row.currency: row
        for row in connection.execute(
            sa.select(
                Event.currency,
                sa.func.count().label("n"),
                sa.cast(sa.func.sum(Event.revenue_cents), sa.BigInteger).label("cents"),
            )
            .join(allocated, allocated.c.event_id == Event.id)
            .group_by(Event.currency)
        )
    }
    currencies = sorted({row.currency for row in channels} | set(revenue))
    return [
        CurrencyTable(
            currency,
            [row for row in channels if row.currency == currency],
            revenue[currency].n if currency in revenue else 0,
            revenue[currency].cents if currency in revenue else 0,
        )
        for currency in currencies
    ]


def without_allocation(connection: Connection, model_version: str) -> Sequence[Row]:
    """Return, per currency, the conversions that have no allocation under this version yet, and their revenue."""
    has = sa.exists().where(Allocation.event_id == Event.id, Allocation.model_version == model_version)
    return connection.execute(
        sa.select(
            Event.currency,
            sa.func.count().label("n"),
            sa.cast(sa.func.sum(Event.revenue_cents), sa.BigInteger).label("cents"),
        )
        .where(Event.kind == "conversion", ~has)
        .group_by(Event.currency)
        .order_by(Event.currency)
    ).all()


def events_page(connection: Connection, model_version: str, after: After | None) -> Page:
    """Return one page of events that have allocations under this version, the newest first."""
    statement = (
        sa.select(
            Allocation.event_id,
            Allocation.converted_at,
            Allocation.currency,
            sa.cast(sa.func.sum(Allocation.allocated_revenue_cents), sa.BigInteger).label("cents"),
            sa.func.count().label("channel_count"),
            sa.func.bool_or(Allocation.is_fallback).label("is_fallback"),
        )
        .where(Allocation.model_version == model_version)
        .group_by(Allocation.converted_at, Allocation.event_id, Allocation.currency)
    )
    return read_page(connection, statement, Allocation.converted_at, Allocation.event_id, after)  # type: ignore[arg-type]


def event(connection: Connection, event_id: UUID) -> Row | None:
    """Return a conversion or adjustment, or None when this scope has none of that id. Its payload is left out."""
    columns = [column for column in Event.__table__.c if column.name not in ("raw_payload", "idempotency_key")]
    valued = Event.kind.in_(("conversion", "adjustment"))
    return connection.execute(sa.select(*columns).where(Event.id == event_id, valued)).one_or_none()


def touches(connection: Connection, sale: Row) -> Sequence[Row]:
    """Return the touches of a sale's journey in the 90 days up to it, in their order; at most the latest 200."""
    newest = connection.execute(
        sa.select(Event.id, Event.occurred_at, Event.event_type, Event.channel, Event.campaign_id)
        .where(
            Event.tenant_id == sale.tenant_id,
            Event.journey_key == sale.journey_key,
            Event.kind == "touch",
            Event.occurred_at <= sale.occurred_at,
            Event.occurred_at >= sale.occurred_at - MAX_LOOKBACK,
        )
        .order_by(Event.occurred_at.desc(), Event.ingest_seq.desc())
        .limit(TOUCH_LIMIT)
    ).all()
    return list(reversed(newest))


def credits_of(connection: Connection, event_id: UUID) -> Sequence[Row]:
    """Return an event's allocations under every version, by version, then the largest first."""
    return connection.execute(
        sa.select(Allocation)
        .where(Allocation.event_id == event_id)
        .order_by(
            Allocation.model_version, Allocation.allocated_revenue_cents.desc(), Allocation.allocation_ratio.desc(),
            Allocation.channel_code,
        )
    ).all()  # fmt: skip


def channel_names(connection: Connection) -> dict[str, str]:
    """Return the display name of each channel code."""
    return {row.code: row.display_name for row in connection.execute(sa.select(Channel.code, Channel.display_name))}


def lookback_start(sale: Row, params: dict[str, Any]) -> datetime | None:
    """Return from when on touches count under a version; None when the version says nothing of it."""
    lookback_s = params.get("lookback_s")
    return sale.occurred_at - timedelta(seconds=lookback_s) if isinstance(lookback_s, int) else None
