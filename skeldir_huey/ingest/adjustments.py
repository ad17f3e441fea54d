"""Adjustments: a refund, chargeback or cancel is added to its sale, waits for it, or is refused with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import InputError
from skeldir_huey.ingest.refusals import Refused, add_refused


@dataclass(frozen=True)
class Adjustment:
    """Money that goes back.

    Args:
        order_id, parent_event_id: which sale it is about; at least one of the two.
        revenue_cents: below zero, in the currency's smallest unit.
    """

    source: str
    line: int | None
    order_id: str | None
    parent_event_id: UUID | None
    occurred_at: datetime
    event_type: str
    revenue_cents: int
    currency: str
    idempotency_key: bytes


@dataclass(frozen=True)
class Adjusted:
    """What became of adjustments: added to their sale, waiting for it, there already, refused (kept: new ones)."""

    added_count: int = 0
    waiting_count: int = 0
    there_count: int = 0
    refused_count: int = 0
    kept_count: int = 0
    first_refused: str | None = None


@dataclass
class _Sale:
    id: UUID
    revenue_cents: int
    currency: str
    adjusted_cents: int


def add_adjustments(
    connection: Connection, tenant_id: UUID, adjustments: Sequence[Adjustment], correlation_id: UUID
) -> Adjusted:
    """Add adjustments in this order, each once; the sales are never edited.

    One that comes before its sale waits, and is added by the import of the sale. One that is above what is left of its
    sale, in another currency, or about an order of several sales goes to dead_events.

    Args:
        connection: a transaction of the tenant, as app_import. Writers of adjustments wait for one another.
    """
    if not adjustments:
        return Adjusted()
    lock_adjustments(connection, tenant_id)
    return _settle(connection, tenant_id, adjustments, correlation_id)


def lock_adjustments(connection: Connection, tenant_id: UUID) -> None:
    """Be the only writer of adjustments and of sales with an order, until the end of this transaction."""
    rows(connection, sql("ingest", "lock_adjustments"), {"tenant_id": tenant_id})


def hold_back_adjustments(connection: Connection, tenant_id: UUID) -> None:
    """Keep adjustments from being added until the end of this transaction: its sales would not be seen yet."""
    rows(connection, sql("ingest", "share_adjustments"), {"tenant_id": tenant_id})


def take_waiting(connection: Connection, tenant_id: UUID, order_ids: Iterable[str], correlation_id: UUID) -> Adjusted:
    """Add the adjustments that wait for sales of these orders, which were added just now."""
    values = {"tenant_id": tenant_id, "order_ids": sorted(set(order_ids))}
    found = rows(connection, sql("ingest", "take_waiting"), values)
    if not found:
        return Adjusted()
    return _settle(connection, tenant_id, [_adjustment(row) for row in found], correlation_id)


def _settle(
    connection: Connection, tenant_id: UUID, adjustments: Sequence[Adjustment], correlation_id: UUID
) -> Adjusted:
    keys = {"tenant_id": tenant_id, "keys": [each.idempotency_key for each in adjustments]}
    there = {bytes(row["idempotency_key"]) for row in rows(connection, sql("ingest", "known_adjustments"), keys)}
    by_order, by_id = _sales(connection, tenant_id, adjustments)
    added: list[dict[str, Any]] = []
    waiting: list[Adjustment] = []
    refused: list[Refused] = []
    new = 0
    for each in adjustments:
        if each.idempotency_key in there:
            continue
        there.add(each.idempotency_key)
        new += 1
        try:
            sale = _sale_of(each, by_order, by_id)
            if sale is None:
                waiting.append(each)
                continue
            _check(each, sale)
        except InputError as error:
            payload = {name: value for name, value in asdict(each).items() if name != "idempotency_key"}
            key, again = each.idempotency_key, {"kind": "adjustment"}
            refused.append(Refused(each.line, error.field, error.reason, payload, key, each.source, again))
            continue
        sale.adjusted_cents -= each.revenue_cents
        added.append(asdict(each) | {"parent_event_id": sale.id})
    common = {"tenant_id": tenant_id, "correlation_id": correlation_id}
    if added:
        rows(connection, sql("ingest", "add_adjustments"), common | _columns(added))
    if waiting:
        rows(connection, sql("ingest", "add_waiting"), common | _columns([asdict(each) for each in waiting]))
    kept = add_refused(connection, tenant_id, refused, correlation_id)
    first = f"line {refused[0].line}: {refused[0].field}: {refused[0].message}" if refused else None
    return Adjusted(len(added), len(waiting), len(adjustments) - new, len(refused), kept, first)


def _sales(
    connection: Connection, tenant_id: UUID, adjustments: Sequence[Adjustment]
) -> tuple[dict[str, list[_Sale]], dict[UUID, _Sale]]:
    values = {
        "tenant_id": tenant_id,
        "order_ids": sorted({each.order_id for each in adjustments if each.order_id is not None}),
        "event_ids": [each.parent_event_id for each in adjustments if each.parent_event_id is not None],
    }
    by_order: dict[str, list[_Sale]] = {}
    by_id: dict[UUID, _Sale] = {}
    for row in rows(connection, sql("ingest", "sales"), values):
        sale = _Sale(row["id"], row["revenue_cents"], row["currency"], row["adjusted_cents"])
        by_id[sale.id] = sale
        by_order.setdefault(row["order_id"], []).append(sale)
    return by_order, by_id


def _sale_of(each: Adjustment, by_order: dict[str, list[_Sale]], by_id: dict[UUID, _Sale]) -> _Sale | None:
    if each.parent_event_id is not None:
        if each.parent_event_id not in by_id:
            raise InputError("parent", f"no sale {each.parent_event_id} of this tenant")
        return by_id[each.parent_event_id]
    found = by_order.get(each.order_id or "", [])
    if len(found) > 1:
        raise InputError("order_id", f"{len(found)} sales have the order {each.order_id!r}; name one by parent")
    return found[0] if found else None


def _check(each: Adjustment, sale: _Sale) -> None:
    if each.currency != sale.currency:
        raise InputError("currency", f"the sale is in {sale.currency}, this is in {each.currency}")
    left = sale.revenue_cents - sale.adjusted_cents
    if -each.revenue_cents > left:
        raise InputError(
            "revenue",
            f"{-each.revenue_cents} {each.currency} (smallest unit) is above what is left of the sale, {left}",
        )


_NAMES = tuple(column.name for column in fields(Adjustment))


def _columns(records: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [record[name] for record in records] for name in _NAMES}


def _adjustment(row: dict[str, Any]) -> Adjustment:
    return Adjustment(**row | {"idempotency_key": bytes(row["idempotency_key"]), "parent_event_id": None})
