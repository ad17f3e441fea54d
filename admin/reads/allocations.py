"""Allocations of one tenant: its model versions, the events of a channel, and one sale with its journey."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from admin.params import After
from admin.reads.comparison import Period
from admin.reads.pages import Page, read_page
from skeldir_huey.db.tables import Allocation, Channel, Event, ModelVersion, Published

TOUCH_LIMIT = 200
MAX_LOOKBACK = timedelta(days=90)


def versions(connection: Connection) -> Sequence[Row]:
    """Return the tenant's model versions, the published one first, then the newest."""
    return _versions(connection, ())


def versions_of(connection: Connection, tenant_id: UUID) -> Sequence[Row]:
    """Return the same for a tenant, in a scope that may show others as well."""
    return _versions(connection, (ModelVersion.tenant_id == tenant_id,))


def _versions(connection: Connection, where: Sequence[Any]) -> Sequence[Row]:
    is_published = Published.model_version.is_not(None).label("is_published")
    return connection.execute(
        sa.select(
            ModelVersion.model_version,
            ModelVersion.name,
            ModelVersion.version,
            ModelVersion.params,
            ModelVersion.model_type,
            is_published,
        )
        .join(
            Published,
            sa.and_(
                Published.tenant_id == ModelVersion.tenant_id, Published.model_version == ModelVersion.model_version
            ),
            isouter=True,
        )
        .where(*where)
        .order_by(is_published.desc(), ModelVersion.created_at.desc(), ModelVersion.model_version)
    ).all()


def events_page(
    connection: Connection, tenant_id: UUID, model_version: str, channel: str, period: Period, after: After | None
) -> Page:
    """Return one page of the events of a period with allocations under this version, the newest first.

    Args:
        channel: the money of this channel only, with the events that have some; "" means all channels.
    """
    statement = events(tenant_id, model_version, channel, period)
    return read_page(connection, statement, Allocation.converted_at, Allocation.event_id, after)  # type: ignore[arg-type]


def events(tenant_id: UUID, model_version: str, channel: str, period: Period) -> sa.Select[Any]:
    """Return the select of these events, without order."""
    return (
        sa.select(
            Allocation.event_id,
            Allocation.converted_at,
            Allocation.currency,
            sa.cast(sa.func.sum(Allocation.allocated_revenue_cents), sa.BigInteger).label("cents"),
            sa.func.sum(Allocation.allocation_ratio).label("credit"),
            sa.func.count().label("channel_count"),
            sa.func.bool_or(Allocation.is_fallback).label("is_fallback"),
            sa.func.bool_or(Allocation.is_adjustment).label("is_adjustment"),
        )
        .where(
            Allocation.tenant_id == tenant_id,
            Allocation.model_version == model_version,
            Allocation.converted_at >= period.first,
            Allocation.converted_at < period.end,
            *([Allocation.channel_code == channel] if channel else []),
        )
        .group_by(Allocation.converted_at, Allocation.event_id, Allocation.currency)
    )


def event(connection: Connection, event_id: UUID) -> Row | None:
    """Return a conversion or adjustment and the database's clock, or None when this scope has none of that id.

    Its payload is left out.
    """
    columns = [column for column in Event.__table__.c if column.name not in ("raw_payload", "idempotency_key")]
    valued = Event.kind.in_(("conversion", "adjustment"))
    clock = sa.func.clock_timestamp().label("now")
    return connection.execute(
        sa.select(*columns, clock, Channel.display_name.label("channel_name"))
        .join(Channel, Channel.code == Event.channel)
        .where(Event.id == event_id, valued)
    ).one_or_none()


def touches(connection: Connection, sale: Row) -> Sequence[Row]:
    """Return the touches of a sale's journey in the 90 days up to it, in their order; at most the latest 200."""
    newest = connection.execute(
        sa.select(
            Event.id,
            Event.ingest_seq,
            Event.occurred_at,
            Event.event_type,
            Event.channel,
            Event.campaign_id,
            Channel.display_name.label("channel_name"),
        )
        .join(Channel, Channel.code == Event.channel)
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
        sa.select(Allocation, Channel.display_name.label("channel_name"))
        .join(Channel, Channel.code == Allocation.channel_code, isouter=True)
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
