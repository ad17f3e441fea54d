"""The grid of recomputes: one row per tenant, one cell per UTC day, the state of that day's allocations in a word."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from skeldir_huey.db.tables import DirtyRange, Event, Published, Run, Tenant

DAYS = 30
TENANTS = 6
DAY = timedelta(days=1)


@dataclass(frozen=True)
class State:
    """What a cell says: a short word, its colour, and what it means."""

    word: str
    css: str
    meaning: str


STATES = {
    "running": State("run", "run", "a run of this day works now"),
    "pending": State("wait", "wait", "a run of this day waits for a worker"),
    "failed": State("fail", "bad", "the last run of this day failed"),
    "late": State("late", "late", "late data came after the last run; the next one is asked for each minute"),
    "succeeded": State("ok", "ok", "computed"),
    "missing": State("due", "late", "has conversions, but no run yet"),
    "quiet": State("\u2013", "quiet", "no conversions, no run"),
}


@dataclass(frozen=True)
class GridRow:
    """A tenant, and a key of STATES per day."""

    tenant_id: UUID
    cells: Sequence[str]


@dataclass(frozen=True)
class Grid:
    """Days are midnights, UTC, the oldest first."""

    days: Sequence[datetime]
    rows: Sequence[GridRow]


def last_day(connection: Connection, now: datetime) -> datetime:
    """Return the day that the grid ends with: today, or the newest day with a run when that is over a month ago."""
    today = midnight(now)
    # Of the runs that were made last: no index is by window alone.
    lately = sa.select(Run.window_end).order_by(Run.created_at.desc(), Run.id.desc()).limit(100).subquery()
    newest = connection.scalar(sa.select(sa.func.max(lately.c.window_end)))
    if newest is None or newest > today - DAYS * DAY:
        return today
    return midnight(newest - timedelta(microseconds=1))


def grid(connection: Connection, tenants: Sequence[UUID], until: datetime, model_version: str) -> Grid:
    """Return the 30 days up to `until` for these tenants, at most 6.

    Args:
        until: the last day, its midnight.
        model_version: "" means the version that each tenant has published.
    """
    days = [until - i * DAY for i in reversed(range(DAYS))]
    start, end = days[0], until + DAY
    runs = defaultdict(list)
    wanted = sa.select(
        Run.tenant_id, Run.window_start, Run.window_end, Run.status, Run.created_at, Run.finished_at
    ).where(Run.tenant_id.in_(tenants), Run.window_start < end, Run.window_end > start)
    if model_version:
        wanted = wanted.where(Run.model_version == model_version)
    else:
        is_published = sa.and_(Published.tenant_id == Run.tenant_id, Published.model_version == Run.model_version)
        wanted = wanted.join(Published, is_published)
    for run in connection.execute(wanted):
        runs[run.tenant_id].append(run)
    dirty = defaultdict(list)
    for late in connection.execute(
        sa.select(DirtyRange.tenant_id, DirtyRange.range_start, DirtyRange.range_end)
        .where(DirtyRange.tenant_id.in_(tenants), DirtyRange.range_start < end, DirtyRange.range_end > start)
        .limit(10_000)
    ):
        dirty[late.tenant_id].append((late.range_start, late.range_end))
    busy = _days_with_conversions(connection, tenants, days)
    rows = [
        GridRow(
            tenant_id,
            [_state(day, runs[tenant_id], dirty[tenant_id], (tenant_id, day) in busy) for day in days],
        )
        for tenant_id in tenants
    ]
    return Grid(days, rows)


def _state(day: datetime, runs: Sequence[Row], dirty: Sequence[tuple[datetime, datetime]], is_busy: bool) -> str:
    of_day = [run for run in runs if run.window_start < day + DAY and run.window_end > day]
    for active in ("running", "pending"):
        if any(run.status == active for run in of_day):
            return active
    # Of several windows with a part of this day, the one that ended last says how it stands.
    last = max(of_day, key=lambda run: run.finished_at or run.created_at, default=None)
    if last is not None and last.status == "failed":
        return "failed"
    if any(start < day + DAY and end > day for start, end in dirty):
        return "late"
    if last is not None:
        return "succeeded"
    return "missing" if is_busy else "quiet"


def _days_with_conversions(
    connection: Connection, tenants: Sequence[UUID], days: Sequence[datetime]
) -> set[tuple[UUID, datetime]]:
    # One look into the index per cell, instead of counting a month of conversions.
    # In hours: a day of the session's time zone may have 23.
    number = sa.func.generate_series(0, len(days) - 1).column_valued("number", joins_implicitly=True)
    day = sa.literal(days[0], sa.DateTime(timezone=True)) + sa.func.make_interval(0, 0, 0, 0, number * 24)
    # A limit keeps it one look: as a mere `exists` it becomes a join that reads the month.
    first = (
        sa.select(sa.true())
        .where(
            Event.tenant_id == Tenant.id,
            Event.kind == "conversion",
            Event.kind.in_(("conversion", "adjustment")),  # says that the partial index will do
            Event.occurred_at >= day,
            Event.occurred_at < day + sa.func.make_interval(0, 0, 0, 0, 24),
        )
        .limit(1)
        .scalar_subquery()
    )
    rows = connection.execute(sa.select(Tenant.id, number).where(Tenant.id.in_(tenants), first))
    return {(row[0], days[row[1]]) for row in rows}


def midnight(at: datetime) -> datetime:
    """Return the beginning of an instant's UTC day."""
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
