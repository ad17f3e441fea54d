"""Read events from a CSV or JSON lines file into a tenant."""

from __future__ import annotations

import argparse
from pathlib import Path

from skeldir_huey.commands._progress import file_bar
from skeldir_huey.db import urls
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError
from skeldir_huey.ingest.importer import Report, import_rows, open_source
from skeldir_huey.ingest.options import Options, make_options, parse_pairs
from skeldir_huey.ingest.store import read_channels
from skeldir_huey.ingest.tenants import Tenant, create_tenant, find_tenant, list_tenants, parse_timezone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="CSV with a header, or one JSON object per line")
    parser.add_argument("--tenant", required=True, metavar="NAME", help="whose events these are")
    parser.add_argument("--create-tenant", action="store_true", help="make the tenant when there is none of that name")
    parser.add_argument(
        "--map",
        action="append",
        required=True,
        metavar="FIELD=COLUMN,…",
        help="which column is what: visitor and occurred_at; channel, conversion or event_type, campaign_id, order_id, "
        "parent (the sale of a refund), currency",
    )
    parser.add_argument(
        "--channels",
        action="append",
        default=[],
        metavar="LABEL=CODE,…",
        help="which label of the channel column is which channel; others become unknown, and are listed",
    )
    parser.add_argument("--timezone", metavar="NAME", help="of times without one, default the tenant's, else UTC")
    parser.add_argument("--revenue", metavar="COLUMN", help="amounts of the conversions, such as 12.50")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE,…",
        help="the same for all rows: revenue_cents (smallest unit), currency",
    )
    parser.add_argument("--format", choices=("csv", "jsonl"), help="default: by the file's name, else its first byte")


def run(args: argparse.Namespace) -> int:
    """Import the file and print what was added, what was there, and what was refused.

    Raises:
        InputError: an option, the file or the tenant is wrong; nothing was written.
    """
    urls.check_ready("worker")
    options = _options(args)
    with open_source(Path(args.file), options, args.format) as source:
        tenant = _tenant(args)
        with file_bar(source.size) as bar:
            report = import_rows(source.rows, Path(args.file).name, tenant, options, bar.update)
    _print(Path(args.file).name, tenant.name, report)
    return 0


def _options(args: argparse.Namespace) -> Options:
    timezone = parse_timezone(args.timezone, "--timezone") if args.timezone else None
    with transaction(None, read_only=True) as connection:
        channels = read_channels(connection)
    columns, labels = parse_pairs(args.map, "--map"), parse_pairs(args.channels, "--channels")
    return make_options(columns, labels, parse_pairs(args.set, "--set"), args.revenue, timezone, channels)


def _tenant(args: argparse.Namespace) -> Tenant:
    if args.create_tenant and args.tenant not in {tenant.name for tenant in list_tenants()}:
        create_tenant(args.tenant, timezone=args.timezone or "UTC")
    try:
        return find_tenant(args.tenant, "--tenant")
    except InputError as error:
        raise InputError(error.field, f"{error.reason}; --create-tenant makes it") from None


def _print(name: str, tenant: str, report: Report) -> None:
    print(
        f"{name} -> {tenant}: {report.row_count:,} rows; added {report.touch_count:,} touches and "
        f"{report.conversion_count:,} conversions; {report.there_count:,} events were there already; "
        f"{report.refused_count:,} rows refused"
    )
    if report.adjustment_count or report.waiting_count:
        print(f"adjustments: {report.adjustment_count:,} added, {report.waiting_count:,} wait for their sale")
    if report.unmapped:
        listed = ", ".join(f"{label or '(empty)'} ({count:,})" for label, count in report.unmapped.items())
        total = sum(report.unmapped.values())
        print(f"channels that --channels does not name became unknown, {total:,} rows: {listed}")
    if report.refused_count:
        kept = f"{report.kept_count:,} of them new"
        print(f"refused rows are kept in dead_events, {kept}; the first: {report.first_refused}")
