"""Follow every cent of one conversion, or of one refund back to its sale: touches, credits, rounding, run."""

from __future__ import annotations

import argparse

from skeldir_huey.attribution import store
from skeldir_huey.attribution.explain import Explanation, explain
from skeldir_huey.attribution.explain_refund import RefundExplanation, explain_refund
from skeldir_huey.commands._tables import Money, add_format_arguments, as_csv, as_json, table
from skeldir_huey.db import urls
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError
from skeldir_huey.ingest.tenants import find_tenant
from skeldir_huey.tenancy import parse_uuid


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenant", required=True, metavar="NAME")
    parser.add_argument("--model", metavar="NAME@VERSION", help="default: the version that the tenant has published")
    parser.add_argument("event", metavar="EVENT_ID", help="a conversion, refund, chargeback or cancel")
    add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the explanation; exit 1 when the stored rows are not what the events give now.

    Raises:
        InputError: an option is wrong.
        NotFound: the tenant has no such event.
    """
    urls.check_ready("worker")
    event_id = parse_uuid(args.event, "EVENT_ID")
    tenant = find_tenant(args.tenant, "--tenant")
    with transaction(tenant.id, read_only=True) as connection:
        model = args.model or store.published_version(connection, tenant.id)
        if model is None:
            raise InputError("--model", f"{tenant.name} has published no version; name one")
        refund = explain_refund(connection, tenant.id, event_id, model)
        found = None if refund else explain(connection, tenant.id, event_id, model)
    if refund is not None:
        return _tell_refund(refund, args)
    assert found is not None
    if args.json:
        as_json(found)
    elif args.csv:
        names = ("channel", "credit", "exact_cents", "floor_cents", "remainder", "gets_unit", "cents", "ratio",
                 "stored_cents", "stored_ratio")  # fmt: skip
        as_csv(names, [[getattr(row, name) for name in names] for row in found.channels])
    else:
        _print(found)
    return 0 if found.agrees else 1


def _print(found: Explanation) -> None:
    total = Money(found.revenue_cents, found.currency)
    order = f", order {found.order_id}" if found.order_id else ""
    print(f"conversion {found.event_id}{order}: {total} {found.currency} at {found.occurred_at:%Y-%m-%d %H:%M:%S} UTC")
    print(f"version {found.spec.model_version}: {found.spec.model_type} {dict(found.spec.params)}\n")
    if found.touches:
        table(
            ("touch", "time", "channel", "weight", "credit"),
            [
                (nth, touch.touched_at, touch.channel, f"{float(touch.weight):.6g}", f"{float(touch.credit):.4%}")
                for nth, touch in enumerate(found.touches, 1)
            ],
        )
    else:
        print("no touch counts: all credit goes to the fallback" if found.is_fallback else "touches are not looked at")
    print()
    table(
        ("channel", "credit", "exact", "floor", "left over", "+1", "money", "stored"),
        [
            (
                row.channel,
                str(row.credit) if row.credit.denominator < 10_000 else f"{float(row.credit):.10f}",
                f"{float(row.exact_cents):,.4f}",
                row.floor_cents,
                f"{float(row.remainder):.4f}",
                "+1" if row.gets_unit else "",
                Money(row.cents, found.currency),
                None if row.stored_cents is None else Money(row.stored_cents, found.currency),
            )
            for row in found.channels
        ],
    )
    print(f"\nunits left after the floor: {found.units_left}; they go to the largest remainders, ties by channel")
    if found.run is None:
        print("never computed under this version: ask for a run")
    else:
        state = "agree" if found.agrees else "do NOT agree: recompute its window"
        print(f"stored by run {found.run.id}, execution {found.run.run_count}: the stored rows {state}")


def _tell_refund(found: RefundExplanation, args: argparse.Namespace) -> int:
    names = ("channel", "sale_cents", "before_cents", "after_cents", "cents", "stored_cents")
    if args.json:
        as_json(found)
    elif args.csv:
        as_csv(names, [[getattr(row, name) for name in names] for row in found.channels])
    else:
        _print_refund(found)
    return 0 if found.agrees else 1


def _print_refund(found: RefundExplanation) -> None:
    def money(cents: int | None) -> Money | None:
        return None if cents is None else Money(cents, found.currency)

    order = f", order {found.order_id}" if found.order_id else ""
    print(
        f"{found.event_type} {found.event_id}{order}: {money(found.revenue_cents)} {found.currency} at "
        f"{found.occurred_at:%Y-%m-%d %H:%M:%S} UTC\nof sale {found.sale_id}: {money(found.sale_cents)}; given back "
        f"before {money(found.before_cents)}, with this {money(found.after_cents)}\nversion {found.model_version}\n"
    )
    if not found.channels:
        print("its sale was never computed under this version: ask for a run")
        return
    table(
        ("channel", "of the sale", "back before", "back with this", "this", "stored"),
        [
            (row.channel, *map(money, (row.sale_cents, row.before_cents, row.after_cents, row.cents, row.stored_cents)))
            for row in found.channels
        ],
    )
    print("\neach sum given back is split like the sale by largest remainder; this is the difference of the two splits")
    state = "agree" if found.agrees else "do NOT agree: recompute the day of its sale"
    print(f"stored by run {found.run.id}: the stored rows {state}" if found.run else f"the stored rows {state}")
