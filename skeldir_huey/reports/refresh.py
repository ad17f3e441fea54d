"""Refreshing views and summaries: when their inputs changed, one worker at a time, each refresh on record."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.log import redact_text
from skeldir_huey.reports.registry import REPORTS, View
from skeldir_huey.reports.status import Status, read_status

# Opens a transaction as app_user or app_rw, which commits at the end of its block.
Begin = Callable[[], AbstractContextManager[Connection]]

ROUNDS = 3
SUMMARY_ROUNDS = 100  # each takes 2,000 marks at most
CHEAP_S = 1.0  # a refresh that takes no longer may follow every change


@dataclass(frozen=True)
class Refreshed:
    """How a refresh ended.

    Args:
        outcome: refreshed, unchanged (its inputs did not change: nothing was done) or skipped (another one runs).
        row_count: rows of the view, or rows that changed in a summary; None when nothing was done.
        duration_ms: of all its rounds.
    """

    view: View
    outcome: str
    row_count: int | None = None
    duration_ms: int = 0


def is_due(status: Status, *, held_back: bool = True) -> bool:
    """Return whether a view does not show its inputs and it is time to refresh it.

    Args:
        held_back: let an expensive view wait until half of its freshness target is over, so that a busy hour does not
            refresh it all the time; False asks for changes alone.
    """
    if not status.is_behind:
        return False
    is_cheap = (status.duration_s or 0.0) <= CHEAP_S
    return is_cheap or not held_back or status.behind_s >= status.view.fresh_s / 2


def refresh(begin: Begin, view: View, asked_by: str, *, forced: bool = False) -> Refreshed:
    """Refresh a view, readers going on meanwhile, when its inputs changed.

    A second refresh of the same view at the same time is skipped, says so on record, and leaves the marks of change:
    the running one looks for them when it ends, and goes again. What a summary carries on to its
    views is not refreshed here, see `registry.in_order`.

    Args:
        begin: opens the transactions; the refresh is one, its record two more.
        asked_by: for the record: schedule, run, command, or who it was.
        forced: refresh although nothing changed; a summary is counted anew in full.

    Raises:
        DBAPIError: the database refused; on record as failed, the view stays as it was.
    """
    done: Refreshed | None = None
    for _ in range(SUMMARY_ROUNDS if view.is_summary else ROUNDS):
        with begin() as connection:
            status = next(row for row in read_status(connection) if row.view == view)
            if not (status.change_count if done else status.has_changes or forced):
                break
            values = {"view": view.name, "asked_by": asked_by[:200]}
            refresh_id = rows(connection, sql("reports", "begin_refresh"), values)[0]["id"]
        made = _round(begin, view, refresh_id, forced and done is None)
        if made.outcome != "refreshed":
            return done or made
        if done is not None:
            changed = (done.row_count or 0) + (made.row_count or 0) if view.is_summary else made.row_count
            made = Refreshed(view, "refreshed", changed, done.duration_ms + made.duration_ms)
        done = made
    return done or Refreshed(view, "unchanged")


def _round(begin: Begin, view: View, refresh_id: int, forced: bool) -> Refreshed:
    record = {"id": refresh_id, "view": view.name, "row_count": None, "error_message": None}
    try:
        with begin() as connection:
            made = rows(connection, sql("reports", "refresh_report"), {"view": view.name, "forced": forced})[0]
            ended = rows(connection, sql("reports", "end_refresh"), record | made)[0]
    except DBAPIError as error:
        reason = redact_text(str(error.orig).strip())[:500]
        with begin() as connection:
            rows(connection, sql("reports", "end_refresh"), record | {"outcome": "failed", "error_message": reason})
        raise
    return Refreshed(view, **made, duration_ms=ended["duration_ms"])


def prune(connection: Connection) -> None:
    """Forget refreshes that are older than 30 days."""
    rows(connection, sql("reports", "prune_refreshes"), {"views": [view.name for view in REPORTS]})
