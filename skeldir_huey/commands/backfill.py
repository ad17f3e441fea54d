"""Recompute a long range day by day: start one and watch it, or resume, cancel or show one."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import fields
from typing import Any
from uuid import UUID

from tqdm import tqdm

from skeldir_huey import main as registered
from skeldir_huey.attribution import backfills, store
from skeldir_huey.attribution.backfills import Backfill
from skeldir_huey.commands._tables import add_format_arguments, as_csv, as_json
from skeldir_huey.commands._window import parse_range
from skeldir_huey.db import urls
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import Conflict, InputError, SkeldirError
from skeldir_huey.ingest.tenants import Tenant, find_tenant
from skeldir_huey.tasks.backfill import cancel_backfill, resume_backfill, start_backfill
from skeldir_huey.tenancy import parse_uuid

__all__ = ["add_arguments", "registered", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenant", required=True, metavar="NAME")
    parser.add_argument("--from", dest="start", metavar="TIME", help="such as 2025-06-01 (UTC)")
    parser.add_argument("--to", dest="end", metavar="TIME", help="end of the range, itself not in it")
    parser.add_argument("--model", metavar="NAME@VERSION", help="default: the version that the tenant has published")
    parser.add_argument("--no-wait", action="store_true", help="leave it to the workers; do not watch")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--resume", metavar="ID", help="go on with one that was cancelled or failed")
    which.add_argument("--cancel", metavar="ID", help="stop one after the day that is under way")
    which.add_argument("--show", metavar="ID", help="say how far one is")
    add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Do what was asked and print how far the backfill is; Ctrl-C stops it and says how to go on.

    Raises:
        InputError: an option is wrong; nothing was written.
        SkeldirError: the backfill failed.
    """
    urls.check_ready("worker")
    given = args.resume or args.cancel or args.show
    if bool(given) == bool(args.start or args.end):
        raise InputError("--from", "give --from and --to, or one of --resume, --cancel, --show")
    if not given and not (args.start and args.end):
        raise InputError("--to" if args.start else "--from", "is missing")
    tenant = find_tenant(args.tenant, "--tenant")
    if not given:
        start, end = parse_range(args.start, args.end)
        found = start_backfill(tenant.id, start, end, args.model or _published(tenant))
        if not (args.json or args.csv):
            print(f"backfill {found.id} of {tenant.name}, {found.model_version}: {found.day_count:,} days", flush=True)
    else:
        option = "--resume" if args.resume else "--cancel" if args.cancel else "--show"
        backfill_id = parse_uuid(given, option)
        if args.resume:
            found = resume_backfill(tenant.id, backfill_id)
        else:
            found = cancel_backfill(tenant.id, backfill_id) if args.cancel else _read(tenant, backfill_id)
            _print(found, args)
            return 0
    if args.no_wait:
        if args.json or args.csv:
            _print(found, args)
        return 0
    try:
        ended = _watch(tenant, found)
    except KeyboardInterrupt:
        return _interrupted(tenant, found, args)
    if ended.status == "succeeded" or args.json or args.csv:
        _print(ended, args)
    if ended.status == "succeeded":
        return 0
    raise SkeldirError(f"{_said(ended)}; go on with: {_resume(tenant, ended)}")


def _watch(tenant: Tenant, found: Backfill) -> Backfill:
    size = shutil.get_terminal_size()  # 80 x 24 where the terminal says 0 x 0, which tqdm would believe
    look: dict[str, Any] = {"ncols": size.columns, "nrows": size.lines, "leave": False, "initial": found.done_count}
    with tqdm(total=found.day_count, unit="day", disable=None, file=sys.stderr, **look) as bar:
        while True:
            now = _read(tenant, found.id)
            bar.update(0 if bar.disable else now.done_count - bar.n)
            if now.status != "running":
                return now
            time.sleep(0.2)


def _interrupted(tenant: Tenant, found: Backfill, args: argparse.Namespace) -> int:
    try:
        now = cancel_backfill(tenant.id, found.id)
    except Conflict:
        _print(_read(tenant, found.id), args)
        return 0
    print(f"{_said(now)}; go on with: {_resume(tenant, now)}", file=sys.stderr)
    return 130


def _read(tenant: Tenant, backfill_id: UUID) -> Backfill:
    with transaction(tenant.id, read_only=True) as connection:
        return backfills.read(connection, tenant.id, backfill_id)


def _published(tenant: Tenant) -> str:
    with transaction(tenant.id, read_only=True) as connection:
        model = store.published_version(connection, tenant.id)
    if model is None:
        raise InputError("--model", f"{tenant.name} has published no version; name one")
    return model


def _print(found: Backfill, args: argparse.Namespace) -> None:
    shown = {field.name: getattr(found, field.name) for field in fields(found)}
    shown |= {"day_count": found.day_count, "done_count": found.done_count}
    if args.json:
        as_json(shown)
    elif args.csv:
        as_csv(list(shown), [list(shown.values())])
    else:
        print(_said(found))


def _said(found: Backfill) -> str:
    why = f": {found.error_message}" if found.error_message else ""
    done = f"{found.done_count:,} of {found.day_count:,} days done"
    return f"backfill {found.id} {found.status}, {done}{why}"


def _resume(tenant: Tenant, found: Backfill) -> str:
    return f"python -m skeldir_huey backfill --tenant {tenant.name} --resume {found.id}"
