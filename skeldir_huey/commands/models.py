"""Model versions: list them, create or train one, publish one; and what channels are worth over all journeys."""

from __future__ import annotations

import argparse
import json
from typing import Any
from uuid import UUID

from skeldir_huey.attribution import store
from skeldir_huey.attribution.channel_reports import ChannelReport, make_report
from skeldir_huey.attribution.models import MODELS
from skeldir_huey.attribution.paths import count_paths, parse_day
from skeldir_huey.attribution.train import train_markov
from skeldir_huey.attribution.types import ModelSpec, canonical_json
from skeldir_huey.commands._tables import add_format_arguments, as_csv, as_json, table
from skeldir_huey.db import urls
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError
from skeldir_huey.ingest.tenants import find_tenant
from skeldir_huey.parsers import whole

NAMES = ("model_version", "model_type", "published", "params", "params_hash")
SHOWN = 110  # characters of the parameters in the table for people; --json has all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="all versions of a tenant")
    created = actions.add_parser("create", help="add a version; a version never changes")
    published = actions.add_parser("publish", help="let reports use a version from now on")
    reported = actions.add_parser("report", help="each channel's share of all conversions, with 95 %% intervals")
    for action in (listed, created, published, reported):
        action.add_argument("--tenant", required=True, metavar="NAME")
        add_format_arguments(action)
    published.add_argument("model", metavar="NAME@VERSION")
    created.add_argument("model", metavar="NAME@VERSION", help="such as linear@1.0.0")
    created.add_argument(
        "--type", metavar="MODEL", help=f"the rule, default the one called NAME; one of {', '.join(MODELS)}"
    )
    created.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="such as lookback_s=604800, preset=j or channels=direct,email; may be repeated",
    )
    created.add_argument("--train-from", metavar="DAY", help="markov_path: first day of the paths to train on, UTC")
    created.add_argument("--train-to", metavar="DAY", help="markov_path: last day of the paths to train on")
    reported.add_argument("report", choices=("markov_global", "shapley_set"))
    reported.add_argument(
        "--from", required=True, dest="start", metavar="DAY", help="first day that journeys end on, UTC"
    )
    reported.add_argument("--to", required=True, dest="end", metavar="DAY", help="last day, itself included")
    reported.add_argument("--order", default="1", metavar="K", help="of the Markov chain, 1 to 3, default 1")
    reported.add_argument("--dedupe", default="none", metavar="HOW", help="none (default), consecutive or unique")


def run(args: argparse.Namespace) -> int:
    """Do it and print the versions concerned, or the report.

    Raises:
        InputError: an option is wrong; nothing was written.
        Conflict: that version exists with other parameters.
        NoResult: there is nothing to train on.
    """
    urls.check_ready("worker")
    tenant = find_tenant(args.tenant, "--tenant")
    if args.action == "report":
        _print_report(_report(tenant.id, args), args)
        return 0
    with transaction(tenant.id, read_only=args.action == "list") as connection:
        if args.action == "list":
            specs = [
                store.read_version(connection, tenant.id, name) for name in store.list_versions(connection, tenant.id)
            ]
        elif args.action == "create":
            specs = [_create(connection, tenant.id, args)]
        else:
            store.publish(connection, tenant.id, args.model)
            specs = [store.read_version(connection, tenant.id, args.model)]
        _print(specs, store.published_version(connection, tenant.id), args)
    return 0


def _create(connection: Any, tenant_id: UUID, args: argparse.Namespace) -> ModelSpec:
    name, _, version = args.model.partition("@")
    params = dict(_read_param(text) for text in args.param)
    if args.train_from is None and args.train_to is None:
        return store.create_model_version(connection, tenant_id, name, version, params, args.type)
    if (args.type or name) != "markov_path":
        raise InputError("--train-from", "only markov_path is trained")
    days = parse_day(args.train_from, "--train-from"), parse_day(args.train_to, "--train-to")
    return train_markov(connection, tenant_id, name, version, *days, params)[0]


def _report(tenant_id: UUID, args: argparse.Namespace) -> ChannelReport:
    try:
        order = whole(1, 3)(args.order)
    except ValueError as error:
        raise InputError("--order", str(error)) from None
    days = parse_day(args.start, "--from"), parse_day(args.end, "--to")
    with transaction(tenant_id) as connection:
        count_paths(connection, tenant_id)
        return make_report(connection, tenant_id, args.report, *days, order=order, dedupe=args.dedupe)[1]


def _print_report(found: ChannelReport, args: argparse.Namespace) -> None:
    names = ("channel", "share", "low", "high", "removal_effect")
    lines = [[getattr(row, name) for name in names] for row in found.shares]
    if args.json:
        as_json(found)
    elif args.csv:
        as_csv(names, lines)
    else:
        shown = [[line[0], *("-" if part is None else f"{part:.4f}" for part in line[1:])] for line in lines]
        table(("channel", "share", "from", "to", "removal effect"), shown)
        order = f" of order {found.order}" if found.order else ""
        print(
            f"{found.report_type}{order}: {found.conversion_count:,} journeys converted, {found.null_count:,} did not; "
            f"from and to hold 95 % of {found.kept_draw_count:,} bootstrap draws (seed {found.seed})"
        )


def _read_param(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError("--param", f"expected NAME=VALUE, got {text!r}")
    if name == "channels":
        return name, [part.strip() for part in value.split(",") if part.strip()]
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _print(specs: list[ModelSpec], published: str | None, args: argparse.Namespace) -> None:
    found = [
        (s.model_version, s.model_type, s.model_version == published, canonical_json(s.params), s.params_hash.hex())
        for s in specs
    ]
    if args.json:
        as_json(
            [dict(zip(NAMES, line, strict=True)) | {"params": s.params} for line, s in zip(found, specs, strict=True)]
        )
    elif args.csv:
        as_csv(NAMES, found)
    else:
        lines = [(line[0], line[1], "yes" if line[2] else "", _short(line[3]), line[4][:12]) for line in found]
        table(("version", "model", "published", "parameters", "hash"), lines)


def _short(params: str) -> str:
    return params if len(params) <= SHOWN else params[: SHOWN - 1] + "…"
