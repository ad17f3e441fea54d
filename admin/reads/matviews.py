"""Materialized views and summaries: how fresh each is, and its refreshes on record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from admin.params import After
from admin.reads.cron import known
from admin.reads.pages import Page, read_page
from skeldir_huey.db.tables import Consumer, Job, MatviewRefresh
from skeldir_huey.queue import schedule
from skeldir_huey.reports.registry import View
from skeldir_huey.reports.status import Status, read_status

EVERY_MINUTE, EVERY_FIVE = "skeldir.reports.refresh_realtime", "skeldir.reports.refresh_all"

_sessions = sa.table(
    "pg_stat_activity", sa.column("pid", sa.Integer), sa.column("application_name", sa.Text), schema="pg_catalog"
)


def states(connection: Connection) -> list[Status]:
    """Return every view and summary, in the order of their refresh."""
    return read_status(connection)


def next_look(view: View, now: datetime) -> datetime | None:
    """Return when the schedule looks at a view next; what did not change is not refreshed then."""
    periodic = known()
    found = [
        schedule.next_due(periodic[name], now)
        for name in ([EVERY_MINUTE] if view.fresh_s <= 60 else []) + [EVERY_FIVE]
        if name in periodic
    ]
    return min((at for at in found if at is not None), default=None)


def holders(connection: Connection, states: Sequence[Status]) -> dict[int, str]:
    """Return who the sessions are that refresh a view now: the consumer's host and process, by the server's pid."""
    pids = [one.locked_by for one in states if one.locked_by is not None]
    if not pids:
        return {}
    is_ours = _sessions.c.application_name == sa.func.concat("skeldir:", Consumer.id)
    found = connection.execute(
        sa.select(_sessions.c.pid, _sessions.c.application_name, Consumer.host, Consumer.pid.label("consumer_pid"))
        .join_from(_sessions, Consumer, is_ours, isouter=True)
        .where(_sessions.c.pid.in_(pids))
    )
    return {
        row.pid: f"consumer {row.host}:{row.consumer_pid}" if row.host else row.application_name or "another session"
        for row in found
    }


def refreshes(connection: Connection, view: View, after: After | None) -> Page:
    """Return one page of the refreshes of a view, the newest first."""
    statement = sa.select(MatviewRefresh).where(MatviewRefresh.view_name == view.name)
    return read_page(connection, statement, MatviewRefresh.started_at, MatviewRefresh.id, after)  # type: ignore[arg-type]


def queued(connection: Connection, task_id: str) -> Row | None:
    """Return a job that has not ended, or None."""
    return connection.execute(sa.select(Job.task_id, Job.state).where(Job.task_id == task_id)).one_or_none()
