"""Two versions side by side, per channel and per conversion."""

from __future__ import annotations

import argparse

from skeldir_huey.attribution.compare import LIMIT, Comparison, compare
from skeldir_huey.commands._tables import Money, add_format_arguments, as_csv, as_json, table
from skeldir_huey.commands._window import add_range_arguments, parse_range
from skeldir_huey.db import urls
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError
from skeldir_huey.ingest.tenants import find_tenant
from skeldir_huey.parsers import whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenant", required=True, metavar="NAME")
    parser.add_argument("--a", required=True, metavar="NAME@VERSION", help="one version")
    parser.add_argument("--b", required=True, metavar="NAME@VERSION", help="the other version")
    add_range_arguments(parser)
    parser.add_argument("--limit", default=str(LIMIT), metavar="N", help=f"how many conversions, default {LIMIT}")
    add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the comparison; with --csv, its channels.

    Raises:
        InputError: an option is wrong.
    """
    try:
        limit = whole(0, 100_000)(args.limit)
    except ValueError as error:
        raise InputError("--limit", str(error)) from None
    start, end = parse_range(args.start, args.end)
    urls.check_ready("worker")
    tenant = find_tenant(args.tenant, "--tenant")
    with transaction(tenant.id, read_only=True) as connection:
        found = compare(connection, tenant.id, args.a, args.b, start, end, limit)
    if args.json:
        as_json(found)
    elif args.csv:
        names = ("channel_code", "currency", "credit_a", "credit_b", "cents_a", "cents_b", "difference_cents")
        as_csv(names, [[getattr(row, name) for name in names] for row in found.channels])
    else:
        _print(found)
    return 0


def _print(found: Comparison) -> None:
    print(f"a = {found.version_a}, b = {found.version_b}")
    print(f"{found.window_start:%Y-%m-%d %H:%M} to {found.window_end:%Y-%m-%d %H:%M} UTC")
    print(
        f"conversions: {found.count_a:,} by a, {found.count_b:,} by b, {found.count_both:,} by both, "
        f"{found.count_different:,} of these split differently\n"
    )
    table(
        ("channel", "currency", "credit a", "credit b", "money a", "money b", "b - a"),
        [
            (
                row.channel_code,
                row.currency,
                round(row.credit_a, 2),
                round(row.credit_b, 2),
                Money(row.cents_a, row.currency),
                Money(row.cents_b, row.currency),
                Money(row.difference_cents, row.currency),
            )
            for row in found.channels
        ],
    )
    if found.conversions:
        print("\nmost money moved:")
        lines = [
            (
                str(pair.event_id),
                pair.converted_at,
                row.channel_code,
                row.currency,
                Money(row.cents_a, row.currency),
                Money(row.cents_b, row.currency),
            )
            for pair in found.conversions
            for row in pair.channels
        ]
        table(("conversion", "time", "channel", "currency", "money a", "money b"), lines)
