"""Ticks: the minutes in which a periodic task is due, and what became of the job of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from admin.reads import cron
from skeldir_huey.db.tables import Job, JobAttempt
from skeldir_huey.errors import InputError
from skeldir_huey.queue import schedule
from skeldir_huey.queue.cron import MINUTE, tick_id, tick_key

SHOWN = 40
MOST = 200  # ticks of one backfill
KEPT = timedelta(days=7)  # older history is gone: nobody could say whether a minute had its job


@dataclass(frozen=True)
class Tick:
    """A due minute.

    Attributes:
        state: none (it had no job), the state of its job, or the outcome of that job's last attempt.
        late_s: seconds from the minute to the begin of the first attempt; None while there is none.
        run_ms: of the last attempt.
    """

    at: datetime
    task_id: str
    state: str = "none"
    late_s: float | None = None
    run_ms: float | None = None


def latest(connection: Connection, name: str, until: datetime, count: int = SHOWN) -> list[Tick]:
    """Return the last due minutes up to an instant, the newest first, not further back than history is kept."""
    task, at = cron.known()[name], until.replace(second=0, microsecond=0)
    found: list[datetime] = []
    while len(found) < count and until - at < KEPT:
        if schedule.is_due(task, at):
            found.append(at)
        at -= MINUTE
    return seen(connection, name, found)


def between(connection: Connection, name: str, first: datetime, last: datetime, now: datetime) -> list[Tick]:
    """Return the due minutes of a range, both ends included, the oldest first.

    Args:
        now: the database's clock.

    Raises:
        InputError: names the end of the range that is wrong, or says that there are too many minutes in it.
    """
    if last < first:
        raise InputError("to", "is before the first minute")
    if first < now - KEPT:
        raise InputError("from", f"is more than {KEPT.days} days ago: older history is not kept")
    if last > now:
        raise InputError("to", "is in the future: what is due then gets its job then")
    task, at = cron.known()[name], first
    found: list[datetime] = []
    while at <= last:
        if schedule.is_due(task, at):
            found.append(at)
        at += MINUTE
    if len(found) > MOST:
        raise InputError("to", f"there are {len(found)} due minutes in this range; choose at most {MOST}")
    return seen(connection, name, found)


def seen(connection: Connection, name: str, minutes: Sequence[datetime]) -> list[Tick]:
    """Return what became of each minute's job. Served by job_tick and job_attempt_task."""
    task = cron.known()[name]
    keys = {tick_key(task, name, at): at for at in minutes}
    ids = {tick_id(key): key for key in keys}
    queued = sa.select(Job.tick_key, Job.task_id, Job.state, Job.claimed_at).where(Job.tick_key.in_(list(keys)))
    ended = (
        sa.select(JobAttempt.task_id, JobAttempt.outcome, JobAttempt.claimed_at, JobAttempt.run_ms)
        .where(JobAttempt.task_id.in_(list(ids)))
        .order_by(JobAttempt.ended_at.desc(), JobAttempt.id.desc())
    )
    found: dict[str, Tick] = {}
    for row in connection.execute(ended):
        key = ids[row.task_id]
        newest = found.get(key)
        found[key] = Tick(
            keys[key],
            row.task_id,
            newest.state if newest else row.outcome,
            _late(keys[key], row.claimed_at),
            newest.run_ms if newest else row.run_ms,
        )
    for tick, task_id, state, claimed_at in connection.execute(queued).all():
        if tick is not None:
            before = found.get(tick)
            late_s = before.late_s if before and before.late_s is not None else _late(keys[tick], claimed_at)
            found[tick] = Tick(keys[tick], task_id, state, late_s)
    return [found.get(key) or Tick(at, tick_id(key)) for key, at in keys.items()]


def _late(at: datetime, began: datetime | None) -> float | None:
    return (began - at).total_seconds() if began is not None else None
