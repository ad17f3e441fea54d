"""Reconciliation: per order and currency, what is claimed, what is verified, and what the published model allocated."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.retained import check_window
from skeldir_huey.db.sqlfile import sql


@dataclass(frozen=True)
class Reconciliation:
    """A row of reconciliation_runs.

    Args:
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
    values = {
        "tenant_id": tenant_id,
        "id": uuid.uuid4(),
        "window_start": window_start,
        "window_end": window_end,
        "task_id": task_id,
        "correlation_id": correlation_id,
    }
    return Reconciliation(**rows(connection, sql("ledger", "reconcile"), values)[0])


def read_orders(connection: Connection, tenant_id: UUID, reconciliation_id: UUID) -> list[Order]:
    """Return the orders of a reconciliation, by order id and currency."""
    values = {"tenant_id": tenant_id, "id": reconciliation_id}
    return [Order(**row) for row in rows(connection, sql("ledger", "orders"), values)]
