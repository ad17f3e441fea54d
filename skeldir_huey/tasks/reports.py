"""Refresh of summaries and materialized views: those of a minute each minute, all every 5 minutes and after a run."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from huey import crontab
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from skeldir_huey.log import get_log
from skeldir_huey.reports import registry
from skeldir_huey.reports.refresh import is_due, prune, refresh
from skeldir_huey.reports.registry import MINUTE_S, REPORTS, View
from skeldir_huey.reports.status import read_status
from skeldir_huey.tasks.base import periodic, task, transaction

log = get_log("reports")


def _key(args: object, kwargs: object) -> str:
    return "refresh_all"


def _key_realtime(args: object, kwargs: object) -> str:
    return "refresh_realtime"


def _key_view(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return str(kwargs.get("name") or (args[0] if args else ""))


@periodic(crontab(minute="*/5"), name="skeldir.reports.refresh_all", lane="maintenance", unique=_key)
def refresh_all(asked_by: str = "schedule") -> None:
    """Refresh every summary and view whose inputs changed, each in a transaction of its own; skip one under way.

    Args:
        asked_by: for the record: schedule, or run when a run ended.
    """
    _refresh_due(REPORTS, asked_by)
    with transaction(commit=True) as connection:
        prune(connection)


@periodic(crontab(), name="skeldir.reports.refresh_realtime", lane="maintenance", unique=_key_realtime)
def refresh_realtime() -> None:
    """Refresh what may be no older than a minute."""
    _refresh_due(tuple(view for view in REPORTS if view.fresh_s <= MINUTE_S), "schedule")


@task(name="skeldir.reports.refresh_view", lane="maintenance", unique=_key_view)
def refresh_view(name: str, asked_by: str = "operator", forced: bool = False) -> str:
    """Refresh one view, and first the summaries that it reads.

    Args:
        name: as in the registry.
        asked_by: who it was, for the record.
        forced: also when nothing changed.

    Returns:
        how it ended: refreshed, unchanged or skipped.

    Raises:
        InputError: there is no such view.
    """
    view = registry.find(name)
    for below in REPORTS:
        if below.name in view.reads:
            _refresh(below, asked_by, forced)
    return _refresh(view, asked_by, forced)


def _refresh_due(views: tuple[View, ...], asked_by: str) -> None:
    failed: DBAPIError | None = None
    for view in views:
        # Anew for each: the refresh of a summary is what makes its views due.
        with transaction(commit=True) as connection:
            status = next(row for row in read_status(connection) if row.view == view)
        if not is_due(status):
            continue
        try:
            _refresh(view, asked_by)
        except DBAPIError as error:  # on record; the others have their targets, too
            failed = error
    if failed is not None:
        raise failed


def _refresh(view: View, asked_by: str, forced: bool = False) -> str:
    done = refresh(_begin, view, asked_by, forced=forced)
    if done.outcome == "skipped":
        log.info("view_refresh_skipped", view=view.name, reason="another refresh of it is running")
    elif done.outcome == "refreshed":
        log.info("view_refreshed", view=view.name, duration_ms=done.duration_ms, row_count=done.row_count)
    return done.outcome


def _begin() -> AbstractContextManager[Connection]:
    return transaction(commit=True)
