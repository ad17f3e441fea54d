"""Runs: recomputes of one tenant, window and model version; and the backfills that ask for many of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from admin.params import After
from admin.reads.pages import Page, count_up_to, read_page
from skeldir_huey.db.tables import Backfill, FailedJob, Run

STATUSES = ("pending", "running", "succeeded", "failed")
BACKFILLS_SHOWN = 10
DAY = timedelta(days=1)


def _matching(status: str, day: datetime | None) -> list[sa.ColumnElement[bool]]:
    conditions = [] if status == "any" else [Run.status == status]
    if day is not None:
        conditions += [Run.window_start < day + DAY, Run.window_end > day]
    return conditions


def page(connection: Connection, status: str, day: datetime | None, after: After | None) -> Page:
    """Return one page of runs, the newest first.

    Args:
        day: only runs whose window has a part of this UTC day; None means all.
    """
    statement = sa.select(Run).where(*_matching(status, day))
    return read_page(connection, statement, Run.created_at, Run.id, after)  # type: ignore[arg-type]


def count(connection: Connection, status: str, day: datetime | None) -> int:
    """Return how many runs match, counting no further than 10,001."""
    return count_up_to(connection, sa.select(Run.id).where(*_matching(status, day)))


def one(connection: Connection, run_id: UUID) -> Row | None:
    """Return a run, or None when this scope has none of that id."""
    return connection.execute(sa.select(Run).where(Run.id == run_id)).one_or_none()


def open_letter(connection: Connection, run: Row) -> UUID | None:
    """Return the dead letter of the run's last job that can be replayed, or None."""
    return connection.scalar(
        sa.select(FailedJob.id).where(
            FailedJob.tenant_id == run.tenant_id,
            FailedJob.status == "pending",
            # A replayed job that died again has its letter under the id of the first one.
            sa.or_(FailedJob.task_id == run.task_id, FailedJob.replayed_as == run.task_id),
        )
    )


def backfills(connection: Connection) -> Sequence[Row]:
    """Return the newest backfills of this scope: those that run first, at most 10."""
    return connection.execute(
        sa.select(Backfill)
        .order_by((Backfill.status == "running").desc(), Backfill.created_at.desc(), Backfill.id.desc())
        .limit(BACKFILLS_SHOWN)
    ).all()


def backfill(connection: Connection, backfill_id: UUID) -> Row | None:
    """Return a backfill, or None when this scope has none of that id."""
    return connection.execute(sa.select(Backfill).where(Backfill.id == backfill_id)).one_or_none()


def days_of(row: Row) -> tuple[int, int]:
    """Return how many daily runs of a backfill are done, and how many there are."""
    every = -(-(row.range_end - _midnight(row.range_start)) // DAY)
    if row.done_until >= row.range_end:
        return every, every
    return (_midnight(row.done_until) - _midnight(row.range_start)) // DAY, every


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)
