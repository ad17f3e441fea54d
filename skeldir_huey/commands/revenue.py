"""What each channel earned: in the currencies of the sales, or converted into one at each day's rate."""

from __future__ import annotations

import argparse
from dataclasses import astuple, fields

from skeldir_huey.attribution import store
from skeldir_huey.commands._tables import Money, add_format_arguments, as_csv, as_json, table
from skeldir_huey.commands._window import add_range_arguments, parse_range
from skeldir_huey.db import urls
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError
from skeldir_huey.ingest.tenants import find_tenant
from skeldir_huey.ledger.revenue import ChannelRevenue, RevenueDay, by_channel, read_revenue
from skeldir_huey.money import parse_currency


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenant", required=True, metavar="NAME")
    add_range_arguments(parser)
    parser.add_argument("--model", metavar="NAME@VERSION", help="default: the version that the tenant has published")
    parser.add_argument("--in", dest="into", metavar="CODE", help="convert into this currency, such as EUR")
    parser.add_argument("--days", action="store_true", help="day by day, with the rates")
    add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the money of each channel.

    Raises:
        InputError: an option is wrong.
        NoResult: a rate is missing.
    """
    urls.check_ready("worker")
    start, end = parse_range(args.start, args.end)
    into = None if args.into is None else parse_currency(args.into, "--in")
    tenant = find_tenant(args.tenant, "--tenant")
    with transaction(tenant.id, read_only=True) as connection:
        model = args.model or store.published_version(connection, tenant.id)
        if model is None:
            raise InputError("--model", f"{tenant.name} has published no version; name one")
        store.read_version(connection, tenant.id, model)
        days = read_revenue(connection, tenant.id, model, start, end, into)
    channels = by_channel(days, into)
    if args.json:
        as_json({"model_version": model, "into": into, "channels": channels, "days": days})
    elif args.csv:
        found, kind = (days, RevenueDay) if args.days else (channels, ChannelRevenue)
        as_csv([column.name for column in fields(kind)], [astuple(line) for line in found])
    else:
        _print(model, days if args.days else [], channels, into)
    return 0


def _print(model: str, days: list[RevenueDay], channels: list[ChannelRevenue], into: str | None) -> None:
    if days:
        names = ("day", "channel", "currency", "money", *(("rate", "of", into) if into else ()))
        lines = []
        for day in days:
            line = [str(day.day), day.channel_code, day.currency, Money(day.cents, day.currency)]
            if into and day.converted_cents is not None and day.rate is not None:
                line += [f"{day.rate.normalize():f}", str(day.rate_day), Money(day.converted_cents, into)]
            lines.append(tuple(line))
        table(names, lines)
        print()
    totals: dict[str, int] = {}
    shown = []
    for row in channels:
        totals[row.currency] = totals.get(row.currency, 0) + row.cents
        shown.append((row.channel_code, row.currency, round(row.credit, 2), Money(row.cents, row.currency)))
    table(("channel", "currency", "conversions", "money"), shown)
    for currency, cents in totals.items():
        print(f"{model}: {Money(cents, currency)} {currency}{', converted day by day' if into else ''}")
