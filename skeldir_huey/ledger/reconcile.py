"""Reconciliation: per order and currency, what is claimed, what is verified, and what the published model allocated."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.retained import check_window
from skeldir_huey.db.sqlfile import sql


@dataclass(frozen=True)
class Reconciliation:
    """A row of reconciliation_runs.

    Args:
        reason: asked (by somebody), nightly, or changed: the night found that the window's orders had changed.
        order_count: rows, each one order in one currency.
        ghost_count: rows whose claims are above the verified money.
        unallocated_count, under_allocated_count, over_allocated_count: rows whose allocations differ from it.
        without_order_count: conversions of the window that have no order id, so nothing to compare with.
        waiting_count: adjustments of the tenant that wait for their sale.
    """

    id: UUID
    window_start: datetime
    window_end: datetime
    model_version: str | None
    reason: str
    order_count: int
    ghost_count: int
    unallocated_count: int
    under_allocated_count: int
    over_allocated_count: int
    without_order_count: int
    waiting_count: int

    @property
    def is_matched(self) -> bool:
        """Return whether claims are not above the verified money, and allocations are equal to it."""
        return not (
            self.ghost_count or self.unallocated_count or self.under_allocated_count or self.over_allocated_count
        )


@dataclass(frozen=True)
class Order:
    """An order in one currency.

    Args:
        ghost_cents: claimed - verified.
        discrepancy_bp: that, in basis points of the verified money; None when nothing is verified but some claimed.
        allocation_state: matched, unallocated (verified, no allocation), under_allocated or over_allocated.
    """

    order_id: str
    currency: str
    claimed_cents: int
    verified_cents: int
    allocated_cents: int
    ghost_cents: int
    discrepancy_bp: int | None
    allocation_state: str


def reconcile(
    connection: Connection,
    tenant_id: UUID,
    window_start: datetime,
    window_end: datetime,
    task_id: str | None = None,
    correlation_id: UUID | None = None,
) -> Reconciliation:
    """Compare the orders of a window and keep the result as a new row of reconciliation_runs with its orders.

    An order belongs to the window in which it was first seen, as a sale, a payment or a claim: so windows add up. Its
    amounts are all that is known of it now, refunds included. Currencies are never added.

    Args:
        connection: a transaction of the tenant, as app_user.
        window_start, window_end: half-open, aware.

    Raises:
        InputError: allocations of the window were removed when their time was over: its orders would look unallocated.
    """
    check_window(connection, tenant_id, window_start)
    windows = [(window_start, window_end)]
    return _reconcile(connection, tenant_id, windows, "asked", task_id, correlation_id)[0]


def reconcile_night(
    connection: Connection,
    tenant_id: UUID,
    day: datetime,
    task_id: str | None = None,
    correlation_id: UUID | None = None,
) -> list[Reconciliation]:
    """Compare the orders of a day, and again those of each earlier day that changed since the last night.

    A payment, a claim or a refund may come long after its sale. All changed days are one statement, however many; a
    tenant that was never reconciled by night has all of its days changed.

    Args:
        connection: a transaction of the tenant, as app_user.
        day: its first instant, UTC.

    Returns:
        The days in order; the one that was asked for is the last, and the newest that the tenant has.
    """
    check_window(connection, tenant_id, day)
    values = {"tenant_id": tenant_id, "before": day}
    changed = [row["day"] for row in rows(connection, sql("ledger", "changed_days"), values)]
    one = timedelta(days=1)
    windows = [(start, start + one) for start in changed]
    again = _reconcile(connection, tenant_id, windows, "changed", task_id, correlation_id) if windows else []
    return again + _reconcile(connection, tenant_id, [(day, day + one)], "nightly", task_id, correlation_id)


def _reconcile(
    connection: Connection,
    tenant_id: UUID,
    windows: Sequence[tuple[datetime, datetime]],
    reason: str,
    task_id: str | None,
    correlation_id: UUID | None,
) -> list[Reconciliation]:
    values = {
        "tenant_id": tenant_id,
        "ids": [uuid.uuid4() for _ in windows],
        "window_starts": [start for start, _ in windows],
        "window_ends": [end for _, end in windows],
        "reason": reason,
        "task_id": task_id,
        "correlation_id": correlation_id,
    }
    return [Reconciliation(**row) for row in rows(connection, sql("ledger", "reconcile"), values)]


def read_orders(connection: Connection, tenant_id: UUID, reconciliation_id: UUID) -> list[Order]:
    """Return the orders of a reconciliation, by order id and currency."""
    values = {"tenant_id": tenant_id, "id": reconciliation_id}
    return [Order(**row) for row in rows(connection, sql("ledger", "orders"), values)]
