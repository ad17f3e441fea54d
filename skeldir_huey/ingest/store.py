"""Writing events: a batch, its dirty ranges and the refunds that waited for it are one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.ingest.adjustments import hold_back_adjustments, take_waiting
from skeldir_huey.ingest.normalise import Event, Kinds

# What a touch reaches when the tenant has no version with a longer lookback: the models' default, 30 days.
LOOKBACK_S = 30 * 86_400


@dataclass(frozen=True)
class Added:
    """What a batch added: events in all, touches and conversions of them, and merged dirty ranges."""

    added_count: int
    touch_count: int
    conversion_count: int
    dirty_count: int


def read_kinds(connection: Connection, tenant_id: UUID) -> Kinds:
    """Return the event kinds of the tenant."""
    found = rows(connection, sql("ingest", "kinds"), {"tenant_id": tenant_id})
    return Kinds({row["event_type"]: (row["kind"], row["needs_channel"]) for row in found})


def read_channels(connection: Connection) -> frozenset[str]:
    """Return the codes of the channel taxonomy."""
    return frozenset(row["code"] for row in rows(connection, sql("ingest", "channels")))


def add_events(connection: Connection, tenant_id: UUID, events: Sequence[Event], correlation_id: UUID) -> Added:
    """Add events that are not there yet, in this order, with the dirty ranges that they make.

    Adjustments that waited for a sale among them are added too, or refused.

    Args:
        connection: a transaction of the tenant, as app_import.
    """
    values: dict[str, Any] = {name: [getattr(event, name) for event in events] for name in _COLUMNS}
    values |= {"tenant_id": tenant_id, "correlation_id": correlation_id, "lookback_s": LOOKBACK_S}
    order_ids = [event.order_id for event in events if event.kind == "conversion" and event.order_id is not None]
    if order_ids:
        hold_back_adjustments(connection, tenant_id)
    added = Added(**rows(connection, sql("ingest", "add_events"), values)[0])
    if order_ids:
        take_waiting(connection, tenant_id, order_ids, correlation_id)
    return added


def count_events(connection: Connection, accepted: int, duplicate: int, refused: int) -> None:
    """Add to the totals of all imports, as the last statement of a transaction: others wait for its end.

    Args:
        connection: a transaction as app_import.
    """
    counts = {"accepted": accepted, "duplicate": duplicate, "refused": refused}
    if any(counts.values()):
        rows(connection, sql("ingest", "count_events"), {"outcomes": [*counts], "counts": [*counts.values()]})


_COLUMNS = tuple(column.name for column in fields(Event))
