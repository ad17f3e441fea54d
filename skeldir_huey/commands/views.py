"""Show how fresh summaries and materialized views are, or refresh them."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from skeldir_huey.commands._tables import add_format_arguments, as_csv, as_json, table
from skeldir_huey.db import urls
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError
from skeldir_huey.reports import registry
from skeldir_huey.reports.refresh import refresh
from skeldir_huey.reports.registry import REPORTS
from skeldir_huey.reports.status import Status, read_status

NAMES = ("view", "behind", "target", "state", "refreshed_at", "took_ms", "rows", "asked_by", "kB")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("show", "refresh"), default="show")
    parser.add_argument("name", nargs="?", help="a view, with or without mv_; all when left out")
    parser.add_argument("--force", action="store_true", help="refresh although nothing changed; count summaries anew")
    parser.add_argument("--check", action="store_true", help="exit code 1 when a view is behind its target, or failed")
    add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the status table; with `refresh`, refresh first. Exit code 1 when a refresh failed or found another one.

    Raises:
        InputError: an option is wrong; nothing was done.
    """
    if args.force and args.action != "refresh":
        raise InputError("--force", "goes with refresh")
    wanted = registry.find(args.name) if args.name else None
    urls.check_ready("worker")
    code = _refresh(wanted, args) if args.action == "refresh" else 0
    with _begin() as connection:
        found = [status for status in read_status(connection) if wanted in (None, status.view)]
    if args.json:
        as_json([_plain(status) for status in found])
    elif args.csv:
        as_csv(NAMES, [_line(status) for status in found])
    else:
        table(NAMES, [_line(status) for status in found])
    failed = any(status.is_late or (status.last and status.last.outcome == "failed") for status in found)
    return 1 if args.check and failed else code


def _refresh(wanted: registry.View | None, args: argparse.Namespace) -> int:
    code = 0
    for view in REPORTS:
        if wanted is not None and view.name != wanted.name and view.name not in wanted.reads:
            continue
        try:
            done = refresh(_begin, view, "command", forced=args.force)
        except DBAPIError as error:
            code = 1
            outcome = f"failed: {str(error.orig).splitlines()[0]}"
        else:
            code = 1 if done.outcome == "skipped" else code
            outcome = "skipped: another refresh of it is running" if done.outcome == "skipped" else done.outcome
        if not args.json and not args.csv:
            print(f"{view.name}: {outcome}")
    return code


def _begin() -> AbstractContextManager[Connection]:
    return transaction(None, role="app_rw")


def _state(status: Status) -> str:
    if status.locked_by is not None:
        return f"refreshing (process {status.locked_by})"
    if status.last is not None and status.last.outcome == "failed":
        return "failed"
    return "late" if status.is_late else "behind" if status.is_behind else "fresh"


def _line(status: Status) -> tuple[object, ...]:
    took_ms = None if status.duration_s is None else round(status.duration_s * 1000)
    return (
        status.view.name,
        f"{status.behind_s:.0f} s",
        f"{status.view.fresh_s} s",
        _state(status),
        status.refreshed_at,
        took_ms,
        status.row_count,
        status.last and status.last.asked_by,
        status.size_bytes // 1024,
    )


def _plain(status: Status) -> dict[str, object]:
    last = status.last
    return {
        "view": status.view.name,
        "is_summary": status.view.is_summary,
        "reads": status.view.reads,
        "fresh_s": status.view.fresh_s,
        "state": _state(status),
        "is_late": status.is_late,
        "behind_s": round(status.behind_s, 3),
        "change_count": status.change_count,
        "refreshed_at": status.refreshed_at,
        "duration_ms": None if status.duration_s is None else round(status.duration_s * 1000),
        "row_count": status.row_count,
        "size_bytes": status.size_bytes,
        "last": last and {**vars(last)},
    }
