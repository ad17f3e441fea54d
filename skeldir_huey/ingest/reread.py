"""Refused records once more: what was kept is read as its import read it, and becomes an event or is refused again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.retained import read_boundary
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import InputError
from skeldir_huey.ingest.adjustments import Adjustment, add_adjustments, lock_adjustments, withdraw
from skeldir_huey.ingest.normalise import Event, Normaliser
from skeldir_huey.ingest.options import Options
from skeldir_huey.ingest.store import add_events, count_events, read_channels, read_kinds
from skeldir_huey.ingest.tenants import Tenant
from skeldir_huey.log import HIDDEN

# Adds what a kind of record that is no event means, such as a payment; raises InputError when it is refused again.
Add = Callable[[Connection, UUID, Mapping[str, Any]], object]


@dataclass(frozen=True)
class Reread:
    """What a record means now: events, or one adjustment."""

    events: list[Event]
    adjustment: Adjustment | None


def reread(connection: Connection, record: Mapping[str, Any]) -> Reread:
    """Read a refused record again; nothing is written.

    Args:
        connection: a transaction that acts for the record's tenant.
        record: a row of dead_events.

    Raises:
        InputError: it is refused again; the field is the column that is wrong.
    """
    kind = kind_of(record)
    reading, payload, digest = record["reading"], record["payload"], bytes(record["idempotency_key"])
    if kind == "adjustment":
        return Reread([], _adjustment(record))
    tenant = Tenant(**rows(connection, sql("ingest", "tenant"), {"tenant_id": record["tenant_id"]})[0])
    kinds = read_kinds(connection, tenant.id)
    kept_from = read_boundary(connection, tenant.id).removed_before
    normaliser = Normaliser(tenant, kinds, Options.of_json(reading), read_channels(connection), kept_from)
    if normaliser.is_adjustment(payload):
        return Reread([], normaliser.adjustment(payload, digest, record["source"], record["line"]))
    return Reread(normaliser.events(payload, digest), None)


def kind_of(record: Mapping[str, Any]) -> str:
    """Return what a record was read as: row, adjustment, payment or claim.

    Raises:
        InputError: that is not known, or what was kept of it cannot be read again.
    """
    if record["reading"] is None:
        raise InputError("reading", "it is not known how this record was read: import a corrected file instead")
    if not isinstance(record["payload"], dict):
        raise InputError("payload", "expected one JSON object: column -> value")
    for name, value in record["payload"].items():
        if value == HIDDEN:
            raise InputError(name, "was hidden when the record was kept: import a corrected file instead")
    return str(record["reading"]["kind"])


def _adjustment(record: Mapping[str, Any]) -> Adjustment:
    payload = record["payload"]
    names = {column.name for column in fields(Adjustment)} - {"idempotency_key"}
    missing = sorted(names - set(payload))
    if missing:
        raise InputError(missing[0], "is missing")
    values = {name: payload[name] for name in names}
    try:
        values["occurred_at"] = datetime.fromisoformat(values["occurred_at"])
        if values["occurred_at"].tzinfo is None:
            raise ValueError
    except (TypeError, ValueError):
        raise InputError("occurred_at", "expected a time with its zone, such as 2025-06-01T12:00:00+00:00") from None
    try:
        parent = values["parent_event_id"]
        values["parent_event_id"] = UUID(parent) if parent is not None else None
    except (TypeError, ValueError, AttributeError):
        raise InputError("parent_event_id", "expected the uuid of a sale") from None
    if type(values["revenue_cents"]) is not int or values["revenue_cents"] >= 0:
        raise InputError("revenue_cents", "expected a whole number of the smallest unit, below zero")
    for name in ("currency", "event_type", "order_id"):
        if not isinstance(values[name], str) and not (name == "order_id" and values[name] is None):
            raise InputError(name, "expected a text")
    if values["order_id"] is None and values["parent_event_id"] is None:
        raise InputError("order_id", "is empty: an adjustment names its sale by order_id or parent_event_id")
    return Adjustment(**values | {"idempotency_key": bytes(record["idempotency_key"])})


def retry(connection: Connection, tenant_id: UUID, record_id: UUID, others: Mapping[str, Add]) -> str:
    """Take a record that was asked for once more through the import; returns resolved, pending or gone.

    It is resolved when its events are there, whoever added them, and pending with the new reason when it is refused.

    Args:
        connection: a transaction of the tenant, as app_import.
        others: how kinds of records are added that are no events.
    """
    found = rows(connection, sql("ingest", "take_refused"), {"tenant_id": tenant_id, "id": record_id})
    if not found:
        return "gone"
    record = found[0]
    try:
        with connection.begin_nested():
            other = others.get(kind_of(record))
            added, waits = (
                (other(connection, tenant_id, record), None) if other else _add(connection, tenant_id, record)
            )
        if waits is not None:
            raise waits
    except InputError as error:
        rows(
            connection,
            sql("ingest", "refuse_again"),
            {"tenant_id": tenant_id, "id": record_id, "field": error.field, "message": error.reason},
        )
        return "pending"
    rows(connection, sql("ingest", "resolve_refused"), {"tenant_id": tenant_id, "id": record_id})
    if isinstance(added, int):
        count_events(connection, added, int(not added), 0)
    return "resolved"


def _add(connection: Connection, tenant_id: UUID, record: dict[str, Any]) -> tuple[int, InputError | None]:
    what = reread(connection, record)
    if what.adjustment is None:
        return add_events(connection, tenant_id, what.events, record["id"]).added_count, None
    lock_adjustments(connection, tenant_id)
    was_overdue = withdraw(connection, tenant_id, what.adjustment)
    done = add_adjustments(connection, tenant_id, [what.adjustment], record["id"])
    if done.refused_count:
        # Undone by the savepoint with what was kept of it: it is this record that stays.
        _, field, reason = (done.first_refused or "line: adjustment: refused").split(": ", 2)
        raise InputError(field, reason)
    if was_overdue and done.waiting_count:
        # It waits as it is now, with an order id that may have been corrected.
        return 0, InputError("order_id", f"there is no sale of the order {what.adjustment.order_id!r} yet: it waits")
    return done.added_count + done.waiting_count, None
