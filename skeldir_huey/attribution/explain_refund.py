"""Every cent of one refund, chargeback or cancel, followed back to the allocations of its sale.

Cumulative largest remainder: what was given back up to this refund, split like the sale, less what was given back
before it, split in the same way. So all refunds together take from each channel just what the sale gave it, once the
whole sale is given back. As in `explain`, the split is computed here anew, not by the SQL of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.attribution.explain import last_run
from skeldir_huey.attribution.store import read_version
from skeldir_huey.attribution.types import Run
from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import NotFound
from skeldir_huey.money import largest_remainder


@dataclass(frozen=True)
class RefundedChannel:
    """A channel's part of a refund.

    Args:
        sale_cents: what the channel has of the sale.
        before_cents, after_cents: how much of that was given back before this refund, and with it.
        cents: the difference, zero or less.
        stored_cents: of the allocation row; None when there is none.
    """

    channel: str
    sale_cents: int
    before_cents: int
    after_cents: int
    cents: int
    stored_cents: int | None


@dataclass(frozen=True)
class RefundExplanation:
    """Why a refund took from each channel what it took, under one version.

    Args:
        revenue_cents: below zero.
        before_cents, after_cents: how much of the sale was given back before this refund, and with it.
        channels: none while the sale was never computed under this version.
        run: the one that wrote the stored rows last; None when there are none.
        agrees: whether the stored rows are just this. If not, recompute the sale's day.
    """

    event_id: UUID
    event_type: str
    occurred_at: datetime
    revenue_cents: int
    currency: str
    order_id: str | None
    model_version: str
    sale_id: UUID
    sale_cents: int
    before_cents: int
    after_cents: int
    channels: list[RefundedChannel]
    run: Run | None
    agrees: bool


def explain_refund(
    connection: Connection, tenant_id: UUID, event_id: UUID, model_version: str
) -> RefundExplanation | None:
    """Return why a refund took what it took; None when the event is none.

    Raises:
        InputError: the version is unknown.
        NotFound: the tenant has no such event.
    """
    read_version(connection, tenant_id, model_version)
    values = {"tenant_id": tenant_id, "event_id": event_id, "model_version": model_version}
    found = rows(connection, sql("attribution", "explain_event"), values)
    if not found:
        raise NotFound(f"no event {event_id} of this tenant")
    event = found[0]
    if event["kind"] != "adjustment":
        return None
    of_sale = values | {"event_id": event["parent_event_id"], "sale_id": event["parent_event_id"]}
    sale = rows(connection, sql("attribution", "explain_event"), of_sale)[0]
    history = rows(connection, sql("attribution", "explain_adjustments"), of_sale)
    place = [row["event_id"] for row in history].index(event_id)
    before = -sum(row["revenue_cents"] for row in history[:place])
    after = before - event["revenue_cents"]
    parts = _cents(connection, of_sale)
    allocations = rows(connection, sql("attribution", "explain_allocations"), values)
    stored = {row["channel_code"]: row["allocated_revenue_cents"] for row in allocations}
    channels = _channels(parts, before, after, stored)
    return RefundExplanation(
        **{name: event[name] for name in ("event_id", "event_type", "occurred_at", "revenue_cents", "currency")},
        order_id=event["order_id"],
        model_version=model_version,
        sale_id=sale["event_id"],
        sale_cents=sale["revenue_cents"],
        before_cents=before,
        after_cents=after,
        channels=channels,
        run=last_run(connection, tenant_id, allocations),
        agrees=bool(channels) and all(row.cents == row.stored_cents for row in channels),
    )


def _cents(connection: Connection, values: dict[str, object]) -> dict[str, int]:
    found = rows(connection, sql("attribution", "explain_allocations"), values)
    return {row["channel_code"]: row["allocated_revenue_cents"] for row in found}


def _channels(parts: dict[str, int], before: int, after: int, stored: dict[str, int]) -> list[RefundedChannel]:
    if not any(parts.values()):
        return []
    given, now = largest_remainder(before, parts), largest_remainder(after, parts)
    return [
        RefundedChannel(
            channel,
            parts.get(channel, 0),
            given.get(channel, 0),
            now.get(channel, 0),
            given.get(channel, 0) - now.get(channel, 0),
            stored.get(channel),
        )
        for channel in sorted(parts.keys() | stored.keys())
    ]
