"""Compare claimed, verified and allocated revenue of a window, order by order, and keep the result."""

from __future__ import annotations

import argparse

from skeldir_huey.commands._tables import Money, add_format_arguments, as_csv, as_json, table
from skeldir_huey.commands._window import add_range_arguments, parse_range
from skeldir_huey.db import urls
from skeldir_huey.db.engine import transaction
from skeldir_huey.ingest.tenants import find_tenant
from skeldir_huey.ledger.reconcile import Order, Reconciliation, read_orders, reconcile

NAMES = ("order_id", "currency", "claimed", "verified", "allocated", "ghost", "discrepancy_bp", "allocation_state")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenant", required=True, metavar="NAME")
    add_range_arguments(parser)
    parser.add_argument("--all", action="store_true", help="show orders that match, too (--json and --csv always do)")
    parser.add_argument("--check", action="store_true", help="exit code 1 when anything does not match")
    add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Reconcile, print the result; exit code 1 with --check when anything does not match.

    Raises:
        InputError: an option is wrong; nothing was written.
    """
    urls.check_ready("worker")
    start, end = parse_range(args.start, args.end)
    tenant = find_tenant(args.tenant, "--tenant")
    with transaction(tenant.id) as connection:
        found = reconcile(connection, tenant.id, start, end)
        orders = read_orders(connection, tenant.id, found.id)
    if args.json:
        as_json({"reconciliation": found, "is_matched": found.is_matched, "orders": orders})
    elif args.csv:
        as_csv(NAMES, [_line(order) for order in orders])
    else:
        _print(found, orders, args.all)
    return 1 if args.check and not found.is_matched else 0


def _print(found: Reconciliation, orders: list[Order], show_all: bool) -> None:
    shown = [order for order in orders if show_all or order.allocation_state != "matched" or order.ghost_cents > 0]
    if shown:
        table(NAMES, [_line(order) for order in shown])
    print(
        f"{found.order_count:,} orders against {found.model_version or 'no published version'}: "
        f"{found.ghost_count:,} claimed above what is verified, {found.unallocated_count:,} unallocated, "
        f"{found.under_allocated_count:,} under-allocated, {found.over_allocated_count:,} over-allocated"
    )
    if found.without_order_count or found.waiting_count:
        print(
            f"not compared: {found.without_order_count:,} conversions without an order id, "
            f"{found.waiting_count:,} adjustments that wait for their sale"
        )
    print(f"kept as reconciliation {found.id}")


def _line(order: Order) -> tuple[object, ...]:
    money = [Money(c, order.currency) for c in (order.claimed_cents, order.verified_cents, order.allocated_cents)]
    ghost = Money(order.ghost_cents, order.currency)
    return (order.order_id, order.currency, *money, ghost, order.discrepancy_bp, order.allocation_state)
