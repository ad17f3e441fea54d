"""Writing events: a batch, its dirty ranges and its refused records are one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.ingest.normalise import Event, Kinds
from skeldir_huey.log import redact

# What a touch reaches when the tenant has no version with a longer lookback: the models' default, 30 days.
LOOKBACK_S = 30 * 86_400


@dataclass(frozen=True)
class Refused:
    """A record that is no event, and why. `payload` is redacted when it is written."""

    line: int
    field: str | None
    message: str
    payload: dict[str, Any]
    idempotency_key: bytes


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

    Args:
        connection: a transaction of the tenant, as app_import.
    """
    values: dict[str, Any] = {name: [getattr(event, name) for event in events] for name in _COLUMNS}
    values |= {"tenant_id": tenant_id, "correlation_id": correlation_id, "lookback_s": LOOKBACK_S}
    return Added(**rows(connection, sql("ingest", "add_events"), values)[0])


def add_refused(
    connection: Connection, tenant_id: UUID, source: str, refused: Sequence[Refused], correlation_id: UUID
) -> int:
    """Keep refused records as dead_events, once each; return how many are new.

    Args:
        connection: a transaction of the tenant, as app_import.
        source: where they came from, such as a file name.
    """
    if not refused:
        return 0
    values = {
        "tenant_id": tenant_id,
        "source": source,
        "correlation_id": correlation_id,
        "line": [record.line for record in refused],
        "idempotency_key": [record.idempotency_key for record in refused],
        "payload": [json.dumps(_storable(redact(record.payload)), default=str) for record in refused],
        "field": [record.field and _storable(record.field) for record in refused],
        "message": [_storable(redact(record.message)) for record in refused],
    }
    kept: int = rows(connection, sql("ingest", "add_refused"), values)[0]["kept_count"]
    return kept


_COLUMNS = tuple(column.name for column in fields(Event))


def _storable(value: Any) -> Any:
    """Return the value without what Postgres cannot store: NUL, and halves of surrogate pairs."""
    if isinstance(value, str):
        return value.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_storable(key): _storable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_storable(part) for part in value]
    return value
