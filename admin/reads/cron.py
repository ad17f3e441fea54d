"""Periodic tasks: when each is due, what its last runs did, whether it is paused or missed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from skeldir_huey.db.tables import CronPause, Job, JobAttempt, Tick
from skeldir_huey.main import huey
from skeldir_huey.queue import schedule

# A task whose minutes nobody has looked at for so long is missed: consumers look each second.
MISSED_AFTER = timedelta(minutes=2)
RUNS_SHOWN = 20
RUNS_WITHIN = timedelta(hours=25)


@dataclass(frozen=True)
class Entry:
    """One periodic task. `runs` are its newest attempts, the oldest first; `queued` its jobs that have not ended."""

    name: str
    lane: str
    words: str
    summary: str
    missed_rule: str
    next_at: datetime | None
    first_missed_at: datetime | None
    last_tick: datetime | None
    pause: Row | None
    runs: Sequence[Row]
    queued: int
    is_missed: bool

    @property
    def last(self) -> Row | None:
        return self.runs[-1] if self.runs else None

    @property
    def state(self) -> str:
        """Return paused, missed, failed (its last run is dead) or enabled."""
        if self.pause is not None:
            return "paused"
        if self.is_missed:
            return "missed"
        return "failed" if self.last is not None and self.last.outcome == "dead" else "enabled"


def known() -> dict[str, Any]:
    """Return every periodic task of this version by its name, as an instance."""
    tasks = {huey._registry.task_to_string(type(task)): task for task in huey._registry.periodic_tasks}
    return dict(sorted(tasks.items()))


@functools.lru_cache(maxsize=512)
def _words(name: str, today: date) -> str:
    return schedule.words(known()[name], today)


@functools.lru_cache(maxsize=512)
def _due(name: str, minute: datetime) -> tuple[datetime | None, datetime | None]:
    task = known()[name]
    return schedule.last_due(task, minute), schedule.next_due(task, minute)


def entries(connection: Connection, now: datetime) -> list[Entry]:
    """Return every periodic task by name, with its runs of the last 25 hours that this scope may see."""
    tasks = known()
    pauses = {row.task_name: row for row in connection.execute(sa.select(CronPause))}
    ticks = {row.task_name: row.last_tick for row in connection.execute(sa.select(Tick))}
    queued: dict[str, int] = {}
    waiting = sa.select(Job.task_name, sa.func.count().label("n")).where(Job.tick_key.is_not(None))
    for row in connection.execute(waiting.group_by(Job.task_name)):
        queued[row.task_name] = row.n
    runs = _runs(connection, list(tasks), now)
    minute = now.replace(second=0, microsecond=0)
    return [
        _entry(name, task, minute, now, pauses.get(name), ticks.get(name), runs.get(name, []), queued.get(name, 0))
        for name, task in tasks.items()
    ]


def _entry(
    name: str, task: Any, minute: datetime, now: datetime, pause: Row | None, last_tick: datetime | None,
    runs: Sequence[Row], queued: int,
) -> Entry:  # fmt: skip
    last_due_at, next_at = _due(name, minute)
    first_missed = _due(name, last_tick)[1] if last_tick is not None else last_due_at
    return Entry(
        name=name,
        lane=type(task).lane,
        words=_words(name, now.date()),
        summary=(type(task).__doc__ or "").strip().split("\n", 1)[0],
        missed_rule=type(task).missed,
        next_at=next_at,
        last_tick=last_tick,
        pause=pause,
        runs=runs,
        queued=queued,
        first_missed_at=first_missed,
        is_missed=last_tick is None or (first_missed is not None and now - first_missed > MISSED_AFTER),
    )


def _runs(connection: Connection, names: Sequence[str], now: datetime) -> dict[str, list[Row]]:
    columns = (
        JobAttempt.task_id, JobAttempt.task_name, JobAttempt.outcome, JobAttempt.ended_at, JobAttempt.run_ms,
        JobAttempt.wait_ms, JobAttempt.error_message,
    )  # fmt: skip
    place = sa.func.row_number().over(
        partition_by=JobAttempt.task_name, order_by=(JobAttempt.ended_at.desc(), JobAttempt.id.desc())
    )
    newest = (
        sa.select(*columns, place.label("place"))
        # Periodic tasks run for no tenant: job_attempt_tenant leads past a day of everybody's jobs.
        .where(JobAttempt.tenant_id.is_(None), JobAttempt.task_name.in_(names), JobAttempt.ended_at > now - RUNS_WITHIN)
        .subquery()
    )
    found: dict[str, list[Row]] = {}
    ordered = sa.select(newest).where(newest.c.place <= RUNS_SHOWN).order_by(newest.c.place.desc())
    for row in connection.execute(ordered):
        found.setdefault(row.task_name, []).append(row)
    return found
