"""The overview's figures: jobs now, attempts by time, letters, runs, consumers, materialized views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.engine import Connection, Row

from admin.reads.pages import count_up_to
from skeldir_huey.db.tables import BulkOperation, Consumer, FailedJob, Job, Lane, Reconciliation, Run, Tick


@dataclass(frozen=True)
class Span:
    """A choice of time range: how far back and how wide one bar is; at most 120 bars."""

    name: str
    words: str
    length: timedelta
    step: timedelta


SPANS = {
    span.name: span
    for span in (
        Span("1h", "1 h", timedelta(hours=1), timedelta(minutes=1)),
        Span("6h", "6 h", timedelta(hours=6), timedelta(minutes=5)),
        Span("24h", "24 h", timedelta(hours=24), timedelta(minutes=15)),
        Span("7d", "7 d", timedelta(days=7), timedelta(hours=2)),
    )
}


@dataclass
class LaneState:
    """A lane now: how many jobs are in each state, and since when the oldest waits, runs, or is to start next."""

    name: str
    paused_at: datetime | None
    paused_by: str | None
    pause_reason: str | None
    resume_at: datetime | None
    counts: dict[str, int] = field(default_factory=dict)
    waiting_since: datetime | None = None
    running_since: datetime | None = None
    next_at: datetime | None = None


@dataclass(frozen=True)
class Totals:
    """All lanes together."""

    waiting: int
    running: int
    scheduled: int
    waiting_since: datetime | None
    running_since: datetime | None


def now(connection: Connection) -> datetime:
    """Return the database's clock: ages must not depend on this machine's."""
    found: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return found


def lanes(connection: Connection) -> list[LaneState]:
    """Return every lane by name, with its jobs of this scope."""
    states = {
        row.name: LaneState(row.name, row.paused_at, row.paused_by, row.pause_reason, row.resume_at)
        for row in connection.execute(sa.select(Lane).order_by(Lane.name))
    }
    grouped = sa.select(
        Job.lane, Job.state, sa.func.count().label("n"), sa.func.min(Job.run_at), sa.func.min(Job.claimed_at)
    ).group_by(Job.lane, Job.state)
    for lane, state, count, run_at, claimed_at in connection.execute(grouped):
        states[lane].counts[state] = count
        if state == "waiting":
            states[lane].waiting_since = run_at
        elif state == "running":
            states[lane].running_since = claimed_at
        else:
            states[lane].next_at = run_at
    return list(states.values())


def totals(lanes: Sequence[LaneState]) -> Totals:
    """Return the sums over lanes, and the oldest of their ages."""
    counts = {state: sum(lane.counts.get(state, 0) for lane in lanes) for state in ("waiting", "running", "scheduled")}
    return Totals(
        **counts,
        waiting_since=min((lane.waiting_since for lane in lanes if lane.waiting_since), default=None),
        running_since=min((lane.running_since for lane in lanes if lane.running_since), default=None),
    )


def open_letters(connection: Connection) -> Mapping[str, int]:
    """Return how many letters are pending and in progress; each count stops at 10,001."""
    return {
        status: count_up_to(connection, sa.select(FailedJob.id).where(FailedJob.status == status))
        for status in ("pending", "in_progress")
    }


def runs_by_state(connection: Connection) -> Mapping[str, int]:
    """Return how many runs are in each state; states without runs are absent."""
    grouped = sa.select(Run.status, sa.func.count().label("n")).group_by(Run.status)
    return {row.status: row.n for row in connection.execute(grouped)}


def consumers(connection: Connection, until: datetime) -> Sequence[Row]:
    """Return consumers that did not stop and were heard of in the last hour, newest heartbeat first."""
    return connection.execute(
        sa.select(Consumer)
        .where(Consumer.stopped_at.is_(None), Consumer.heartbeat_at > until - timedelta(hours=1))
        .order_by(Consumer.heartbeat_at.desc(), Consumer.id)
        .limit(50)
    ).all()


def unmatched(connection: Connection) -> Sequence[Row]:
    """Return the tenants whose newest reconciliation does not match, with that row; at most 5."""
    newest = (
        sa.select(Reconciliation)
        .ext(distinct_on(Reconciliation.tenant_id))
        .order_by(Reconciliation.tenant_id, Reconciliation.created_at.desc(), Reconciliation.id.desc())
        .subquery()
    )
    columns = newest.c
    wrong = (
        columns.ghost_count + columns.unallocated_count + columns.under_allocated_count + columns.over_allocated_count
    )
    return connection.execute(sa.select(newest).where(wrong > 0).order_by(columns.created_at.desc()).limit(5)).all()


def stopped_operations(connection: Connection) -> Sequence[Row]:
    """Return bulk operations that ended before they were through, the newest first, at most 5."""
    return connection.execute(
        sa.select(BulkOperation.id, BulkOperation.verb, BulkOperation.last_error, BulkOperation.created_at)
        .where(BulkOperation.state == "stopped")
        .order_by(BulkOperation.created_at.desc())
        .limit(5)
    ).all()


def last_look(connection: Connection) -> datetime | None:
    """Return when a consumer last looked at the periodic tasks."""
    return connection.scalar(sa.select(sa.func.max(Tick.last_tick)))


_ORIGIN = datetime.fromisoformat("2000-01-03T00:00:00+00:00")


def _floor(at: datetime, step: timedelta) -> datetime:
    return at - (at - _ORIGIN) % step


def _times(first: datetime, until: datetime, step: timedelta) -> list[datetime]:
    return [first + i * step for i in range(int((until - first) / step) + 1)]
