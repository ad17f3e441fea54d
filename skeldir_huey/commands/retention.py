"""Show or do what may no longer be kept; set how long a tenant's data is kept."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy.engine import Connection

from skeldir_huey.commands._tables import add_format_arguments, as_csv, as_json, table
from skeldir_huey.db import urls
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError
from skeldir_huey.ingest import retention
from skeldir_huey.ingest.tenants import Tenant, find_tenant, list_tenants
from skeldir_huey.queue import outdated
from skeldir_huey.tasks.maintenance import KEEP_LETTERS_DAYS, delete_letters, remove_outdated

COUNTS = (*retention.PARTS, "worker_failed_jobs", *retention.SETTLED)
NAMES = ("tenant", "keep_days", "removed_before", "would_be", *COUNTS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenant", metavar="NAME", help="all tenants when left out")
    parser.add_argument("--shared", action="store_true", help="what belongs to no single tenant, instead of tenants")
    parser.add_argument("--dry-run", action="store_true", help="count what would be removed, remove nothing")
    parser.add_argument("--keep-days", metavar="DAYS", help="keep this tenant's data so long: 30 to 3650, or default")
    add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print one line per tenant, or with --shared per table: with --dry-run what would be removed, else what was.

    Raises:
        InputError: an option is wrong; nothing was removed.
    """
    if args.keep_days is not None and args.tenant is None:
        raise InputError("--keep-days", "goes with --tenant")
    if args.shared and args.tenant is not None:
        raise InputError("--shared", "does not go with --tenant")
    days = _days(args.keep_days)
    urls.check_ready("worker")
    if args.shared:
        found = _shared(args.dry_run)
        _show(args, tuple(found[0]), found)
        return 0
    tenants = [find_tenant(args.tenant, "--tenant")] if args.tenant else list_tenants()
    if args.keep_days is not None:
        with transaction(tenants[0].id) as connection:
            retention.set_keep_days(connection, days)
    found = [_of(tenant, args.dry_run or args.keep_days is not None) for tenant in tenants]
    _show(args, NAMES, found)
    return 0


def _show(args: argparse.Namespace, names: tuple[str, ...], found: list[dict[str, Any]]) -> None:
    if args.json:
        as_json(found)
    elif args.csv:
        as_csv(names, [list(line.values()) for line in found])
    else:
        table(names, [list(line.values()) for line in found])


def _shared(is_dry: bool) -> list[dict[str, Any]]:
    if not is_dry:
        return [{"table": part, "removed": removed} for part, removed in remove_outdated().items()]
    with transaction(None, role="app_rw") as connection:
        return [{"table": part, "outdated": number} for part, number in outdated.count(connection).items()]


def _days(text: str | None) -> int | None:
    if text is None or text == "default":
        return None
    if not text.isascii() or not text.isdigit():
        raise InputError("--keep-days", f"expected a number of days or default, got {text!r}")
    return int(text)


def _of(tenant: Tenant, is_dry: bool) -> dict[str, Any]:
    def begin() -> AbstractContextManager[Connection]:
        return transaction(tenant.id)

    removed = {} if is_dry else retention.enforce(begin) | {"worker_failed_jobs": delete_letters(begin)}
    with begin() as connection:
        counted = retention.count(connection, KEEP_LETTERS_DAYS)
    line = {
        "tenant": tenant.name,
        "keep_days": counted["keep_days"],
        "removed_before": counted["removed_before"],
        "would_be": counted["would_be_removed_before"],
    }
    return line | {name: counted[name] if is_dry else removed[name] for name in COUNTS}
