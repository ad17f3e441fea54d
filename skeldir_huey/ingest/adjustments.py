"""Adjustments: a refund, chargeback or cancel is added to its sale, waits for it, or is refused with the reason.

Nobody knows whether a sale is still to come or was removed long ago: removed means that no trace of it is kept. So what
waits longer than WAIT_DAYS becomes a refused record, which says so, and goes on waiting: its sale still takes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.retained import Boundary, read_boundary
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import InputError
from skeldir_huey.ingest.refusals import Refused, add_refused, judge_refused

WAIT_DAYS = 30


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
    refused: tuple[Refused, ...] = ()


@dataclass
class _Sale:
    id: UUID
    occurred_at: datetime
    revenue_cents: int
    currency: str
    adjusted_cents: int
    is_frozen: bool


def add_adjustments(
    connection: Connection, tenant_id: UUID, adjustments: Sequence[Adjustment], correlation_id: UUID
) -> Adjusted:
    """Add adjustments in this order, each once; the sales are never edited.

    One that comes before its sale waits, and is added by the import of the sale. One that is above what is left of its
    sale, in another currency, about an order of several sales, or about a sale whose allocations were removed when
    their time was over goes to dead_events.

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
    found = [_adjustment(row) for row in rows(connection, sql("ingest", "take_waiting"), values)]
    if not found:
        return Adjusted()
    done = _settle(connection, tenant_id, found, correlation_id)
    # Those that waited so long that they became refused records are so no more, or for another reason.
    news: dict[bytes, Refused | None] = {each.idempotency_key: None for each in found}
    judge_refused(connection, tenant_id, news | {each.idempotency_key: each for each in done.refused})
    return done


def refuse_overdue(connection: Connection, tenant_id: UUID, correlation_id: UUID) -> int:
    """Keep a refused record of each adjustment that has waited for WAIT_DAYS; return how many are new.

    They go on waiting. An operator may correct the order id, or say that it is right so; the sale, when it comes,
    resolves the record.

    Args:
        connection: a transaction of the tenant, as app_import.
    """
    values = {"tenant_id": tenant_id, "wait_days": WAIT_DAYS}
    found = [_adjustment(row) for row in rows(connection, sql("ingest", "overdue_adjustments"), values)]
    if not found:
        return 0
    boundary = read_boundary(connection, tenant_id)
    refused = [_refused(each, InputError("order_id", _overdue(each, boundary))) for each in found]
    add_refused(connection, tenant_id, refused, correlation_id)
    judge_refused(connection, tenant_id, {each.idempotency_key: each for each in refused})
    return len(refused)


def withdraw(connection: Connection, tenant_id: UUID, adjustment: Adjustment) -> bool:
    """Let an adjustment no longer wait, so that it can be added as it is now; return whether it did.

    Args:
        connection: a transaction of the tenant, as app_import, that holds `lock_adjustments`.
    """
    values = {"tenant_id": tenant_id, "idempotency_key": adjustment.idempotency_key}
    return bool(rows(connection, sql("ingest", "withdraw_waiting"), values))


def _settle(
    connection: Connection, tenant_id: UUID, adjustments: Sequence[Adjustment], correlation_id: UUID
) -> Adjusted:
    keys = {"tenant_id": tenant_id, "keys": [each.idempotency_key for each in adjustments]}
    there = {bytes(row["idempotency_key"]) for row in rows(connection, sql("ingest", "known_adjustments"), keys)}
    boundary = read_boundary(connection, tenant_id)
    by_order, by_id = _sales(connection, tenant_id, adjustments, boundary)
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
            sale = _sale_of(each, by_order, by_id, boundary)
            if sale is None:
                waiting.append(each)
                continue
            _check(each, sale, boundary)
        except InputError as error:
            refused.append(_refused(each, error))
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
    return Adjusted(len(added), len(waiting), len(adjustments) - new, len(refused), kept, first, tuple(refused))


def _sales(
    connection: Connection, tenant_id: UUID, adjustments: Sequence[Adjustment], boundary: Boundary
) -> tuple[dict[str, list[_Sale]], dict[UUID, _Sale]]:
    values = {
        "tenant_id": tenant_id,
        "order_ids": sorted({each.order_id for each in adjustments if each.order_id is not None}),
        "event_ids": [each.parent_event_id for each in adjustments if each.parent_event_id is not None],
        "removed_before": boundary.removed_before or "-infinity",
    }
    by_order: dict[str, list[_Sale]] = {}
    by_id: dict[UUID, _Sale] = {}
    for row in rows(connection, sql("ingest", "sales"), values):
        order_id = row.pop("order_id")
        sale = _Sale(**row)
        by_id[sale.id] = sale
        by_order.setdefault(order_id, []).append(sale)
    return by_order, by_id


def _sale_of(
    each: Adjustment, by_order: dict[str, list[_Sale]], by_id: dict[UUID, _Sale], boundary: Boundary
) -> _Sale | None:
    if each.parent_event_id is not None:
        if each.parent_event_id not in by_id:
            raise InputError("parent", f"no sale {each.parent_event_id} of this tenant{_gone(boundary)}")
        return by_id[each.parent_event_id]
    found = by_order.get(each.order_id or "", [])
    if len(found) > 1:
        raise InputError("order_id", f"{len(found)} sales have the order {each.order_id!r}; name one by parent")
    return found[0] if found else None


def _check(each: Adjustment, sale: _Sale, boundary: Boundary) -> None:
    if boundary.removed_before is not None and each.occurred_at < boundary.removed_before:
        raise InputError("occurred_at", f"is before {boundary.removed_before.isoformat()}: older events are not kept")
    if sale.is_frozen:
        raise InputError(
            "parent" if each.parent_event_id is not None else "order_id",
            f"its sale of {sale.occurred_at:%Y-%m-%d} is before {boundary.removed_before:%Y-%m-%d}: the allocations of "
            "that time were removed when it was over, so there is nothing to split this like; note the money elsewhere",
        )
    if each.currency != sale.currency:
        raise InputError("currency", f"the sale is in {sale.currency}, this is in {each.currency}")
    left = sale.revenue_cents - sale.adjusted_cents
    if -each.revenue_cents > left:
        raise InputError(
            "revenue",
            f"{-each.revenue_cents} {each.currency} (smallest unit) is above what is left of the sale, {left}",
        )


def _refused(each: Adjustment, error: InputError) -> Refused:
    payload = {name: value for name, value in asdict(each).items() if name != "idempotency_key"}
    key, again = each.idempotency_key, {"kind": "adjustment"}
    return Refused(each.line, error.field, error.reason, payload, key, each.source, again)


def _overdue(each: Adjustment, boundary: Boundary) -> str:
    return (
        f"no sale of the order {each.order_id!r} came within {WAIT_DAYS} days{_gone(boundary)}. If the sale is to come"
        ", import it: it takes this along; if the order id is wrong, correct it; else note the money elsewhere"
    )


def _gone(boundary: Boundary) -> str:
    if boundary.events_removed_before is None:
        return ""
    return f"; sales before {boundary.events_removed_before:%Y-%m-%d} were removed when their time was over"


_NAMES = tuple(column.name for column in fields(Adjustment))


def _columns(records: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [record[name] for record in records] for name in _NAMES}


def _adjustment(row: dict[str, Any]) -> Adjustment:
    return Adjustment(**row | {"idempotency_key": bytes(row["idempotency_key"]), "parent_event_id": None})
