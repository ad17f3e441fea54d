"""The overview's figures: jobs now, attempts by time, letters, runs, consumers, materialized views."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from admin.reads.pages import COUNT_CAP
from skeldir_huey.db.tables import BulkOperation, Consumer, Job, Lane, Reconciliation, Run, Tenant, Tick

RUN_STATES = ("pending", "running", "succeeded", "failed")


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
    jobs = (
        sa.select(
            Job.lane,
            Job.state,
            sa.func.count().label("n"),
            sa.func.min(Job.run_at).label("run_at"),
            sa.func.min(Job.claimed_at).label("claimed_at"),
        )
        .group_by(Job.lane, Job.state)
        .subquery()
    )
    states: dict[str, LaneState] = {}
    for row in connection.execute(
        sa.select(Lane, *jobs.c).join(jobs, jobs.c.lane == Lane.name, isouter=True).order_by(Lane.name)
    ):
        made = LaneState(row.name, row.paused_at, row.paused_by, row.pause_reason, row.resume_at)
        lane = states.setdefault(row.name, made)
        if row.state is None:
            continue
        lane.counts[row.state] = row.n
        if row.state == "waiting":
            lane.waiting_since = row.run_at
        elif row.state == "running":
            lane.running_since = row.claimed_at
        else:
            lane.next_at = row.run_at
    return list(states.values())


def totals(lanes: Sequence[LaneState]) -> Totals:
    """Return the sums over lanes, and the oldest of their ages."""
    counts = {state: sum(lane.counts.get(state, 0) for lane in lanes) for state in ("waiting", "running", "scheduled")}
    return Totals(
        **counts,
        waiting_since=min((lane.waiting_since for lane in lanes if lane.waiting_since), default=None),
        running_since=min((lane.running_since for lane in lanes if lane.running_since), default=None),
    )


@dataclass(frozen=True)
class Service:
    """The database's clock, and consumers that did not stop and were heard of in the last hour, the newest first."""

    now: datetime
    consumers: Sequence[Row]


def service(connection: Connection) -> Service:
    """Return who works: at most 50 consumers."""
    hour_ago = sa.func.clock_timestamp() - timedelta(hours=1)
    alive = (
        sa.select(Consumer)
        .where(Consumer.stopped_at.is_(None), Consumer.heartbeat_at > hour_ago)
        .order_by(Consumer.heartbeat_at.desc(), Consumer.id)
        .limit(50)
        .subquery("alive")
    )
    clock = sa.select(sa.func.clock_timestamp().label("now")).subquery("clock")
    rows = connection.execute(
        sa.select(clock, alive)
        .join_from(clock, alive, sa.true(), isouter=True)
        .order_by(alive.c.heartbeat_at.desc(), alive.c.id)
    ).all()
    return Service(rows[0].now, [row for row in rows if row.id is not None])


def silence_s(consumers: Sequence[Any] | None, at: datetime, frozen_after_s: float) -> float | None:
    """Return for how many seconds no consumer was heard of, infinite after an hour; None when that is not too long."""
    if consumers is None:
        return None
    found = min(((at - one.heartbeat_at).total_seconds() for one in consumers), default=math.inf)
    return found if found > frozen_after_s else None


@dataclass(frozen=True)
class Trouble:
    """What stands still, failed or does not match.

    Args:
        runs: how many runs are in each state; each count stops at 10,001.
        last_look: when a consumer last looked at the periodic tasks; None when none ever did.
        stopped: bulk operations that ended before they were through, the newest first, at most 5.
        unmatched: the newest reconciliation of tenants where it does not match, the newest first, at most 5.
    """

    runs: Mapping[str, int]
    last_look: datetime | None
    stopped: Sequence[Row]
    unmatched: Sequence[Row]


def trouble(connection: Connection) -> Trouble:
    """Return what stands still, failed or does not match, in one statement.

    Indexes tell each tenant's newest reconciliation, and the runs of a state: attribution_recompute_jobs_status.
    """
    newest = (
        sa.select(Reconciliation)
        .where(Reconciliation.tenant_id == Tenant.id)
        .order_by(Reconciliation.created_at.desc(), Reconciliation.id.desc())
        .limit(1)
        .lateral()
    )
    columns = newest.c
    wrong = (
        columns.ghost_count + columns.unallocated_count + columns.under_allocated_count + columns.over_allocated_count
    )
    unmatched = sa.select(
        sa.literal("unmatched").label("kind"),
        columns.tenant_id.label("id"),
        columns.created_at,
        sa.null().label("verb"),
        sa.null().label("last_error"),
        columns.order_count,
        wrong.label("wrong_count"),
    ).select_from(sa.join(Tenant, newest, sa.true()))
    unmatched = unmatched.where(wrong > 0).order_by(columns.created_at.desc()).limit(5)
    one = BulkOperation
    nothing = sa.cast(sa.null(), sa.BigInteger)
    stopped = sa.select(sa.literal("stopped"), one.id, one.created_at, one.verb, one.last_error, nothing, nothing)
    stopped = stopped.where(one.state == "stopped").order_by(one.created_at.desc()).limit(5)
    none_id, none_at = sa.cast(sa.null(), sa.Uuid), sa.cast(sa.null(), sa.DateTime(timezone=True))
    look = sa.select(sa.literal("look"), none_id, sa.func.max(Tick.last_tick), sa.null(), sa.null(), nothing, nothing)
    runs = [
        sa.select(sa.literal(state), none_id, none_at, sa.null(), sa.null(), sa.func.count(), nothing).select_from(
            sa.select(Run.id).where(Run.status == state).limit(COUNT_CAP + 1).subquery()
        )
        for state in RUN_STATES
    ]
    rows = connection.execute(sa.union_all(unmatched, stopped, look, *runs)).all()
    return Trouble(
        {row.kind: row.order_count for row in rows if row.kind in RUN_STATES},
        next(row.created_at for row in rows if row.kind == "look"),
        [row for row in rows if row.kind == "stopped"],
        [row for row in rows if row.kind == "unmatched"],
    )
