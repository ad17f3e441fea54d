"""The overview's figures: jobs now, attempts by time, letters, runs, consumers, materialized views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from admin.reads.pages import count_up_to
from skeldir_huey.db.tables import Consumer, FailedJob, Job, JobAttempt, Lane, Run

REFRESH_TASK = "skeldir.reports.refresh_all"


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


@dataclass(frozen=True)
class Attempts:
    """Attempts that ended since `start`, by lane, outcome and bar; `done` and `dead` also ended their job."""

    start: datetime
    times: Sequence[datetime]
    rows: Sequence[Row]

    def total(self, *outcomes: str, lane: str | None = None) -> int:
        """Return how many attempts had one of these outcomes."""
        return sum(row.n for row in self.rows if row.outcome in outcomes and lane in (None, row.lane))

    def series(self, *outcomes: str, lane: str | None = None) -> list[int]:
        """Return the same per bar."""
        place = {at: i for i, at in enumerate(self.times)}
        values = [0] * len(self.times)
        for row in self.rows:
            if row.outcome in outcomes and lane in (None, row.lane):
                values[place[row.bucket]] += row.n
        return values


@dataclass(frozen=True)
class RunTimes:
    """Median and 95th percentile of the run time in seconds, per bar and over all; None where nothing ran."""

    p50: Sequence[float | None]
    p95: Sequence[float | None]
    p50_all: float | None
    p95_all: float | None


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


def attempts(connection: Connection, span: Span, until: datetime) -> Attempts:
    """Return the attempts of the span before `until`; bars begin at round times, so the first one is cut off."""
    start = until - span.length
    first = _floor(start, span.step)
    bucket = _bucket(span)
    rows = connection.execute(
        sa.select(bucket, JobAttempt.lane, JobAttempt.outcome, sa.func.count().label("n"))
        .where(JobAttempt.ended_at >= start, JobAttempt.ended_at <= until)
        .group_by(sa.text("1"), JobAttempt.lane, JobAttempt.outcome)
    ).all()
    return Attempts(start, _times(first, until, span.step), rows)


def run_times(connection: Connection, span: Span, until: datetime) -> RunTimes:
    """Return how long attempts ran, exact percentiles of job_attempt.run_ms."""
    start = until - span.length
    times = _times(_floor(start, span.step), until, span.step)
    bucket = _bucket(span)
    ran = sa.and_(JobAttempt.ended_at >= start, JobAttempt.ended_at <= until, JobAttempt.run_ms.is_not(None))
    quantiles = [
        sa.func.percentile_cont(share).within_group(JobAttempt.run_ms).label(name)
        for name, share in (("p50", 0.5), ("p95", 0.95))
    ]
    # The empty grouping set is all attempts together; its bucket is null.
    rows = connection.execute(
        sa.select(bucket, *quantiles).where(ran).group_by(sa.func.grouping_sets(sa.tuple_(sa.text("1")), sa.text("()")))
    ).all()
    by_time = {row.bucket: (row.p50 / 1000, row.p95 / 1000) for row in rows if row.p50 is not None}
    p50_all, p95_all = by_time.get(None, (None, None))
    return RunTimes(
        p50=[round(by_time[at][0], 3) if at in by_time else None for at in times],
        p95=[round(by_time[at][1], 3) if at in by_time else None for at in times],
        p50_all=p50_all,
        p95_all=p95_all,
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


def materialized_views(connection: Connection, is_all: bool) -> list[dict[str, Any]]:
    """Return rows and newest day of each materialized view, read through the secure views of this scope."""
    prefix = "all_" if is_all else ""
    performance = sa.table(f"{prefix}channel_performance", sa.column("day"))
    summary = sa.table(f"{prefix}allocation_summary", sa.column("last_converted_at", sa.DateTime(timezone=True)))
    found = []
    for name, view, newest in (
        ("mv_channel_performance", performance, performance.c.day),
        ("mv_allocation_summary", summary, sa.cast(summary.c.last_converted_at, sa.Date)),
    ):
        row = connection.execute(sa.select(sa.func.count().label("n"), sa.func.max(newest)).select_from(view)).one()
        found.append({"name": name, "rows": row[0], "newest_day": row[1]})
    return found


def last_refresh(connection: Connection, until: datetime) -> datetime | None:
    """Return when the views were last refreshed in the 24 hours before `until`, as far as this scope may know."""
    return connection.scalar(
        sa.select(sa.func.max(JobAttempt.ended_at)).where(
            JobAttempt.ended_at > until - timedelta(hours=24),
            JobAttempt.task_name == REFRESH_TASK,
            JobAttempt.outcome == "done",
        )
    )


_ORIGIN = datetime.fromisoformat("2000-01-03T00:00:00+00:00")


def _bucket(span: Span) -> Any:
    return sa.func.date_bin(
        sa.literal_column(f"interval '{int(span.step.total_seconds())} seconds'"),
        JobAttempt.ended_at,
        sa.literal_column(f"timestamptz '{_ORIGIN.isoformat()}'"),
        type_=sa.DateTime(timezone=True),
    ).label("bucket")


def _floor(at: datetime, step: timedelta) -> datetime:
    return at - (at - _ORIGIN) % step


def _times(first: datetime, until: datetime, step: timedelta) -> list[datetime]:
    return [first + i * step for i in range(int((until - first) / step) + 1)]
