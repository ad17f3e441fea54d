"""Periodic tasks: each due minute gives one job, for any number of consumers, and none is lost to downtime."""

from __future__ import annotations

import datetime as dt
import functools
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.log import get_log
from skeldir_huey.queue.storage import statement

if TYPE_CHECKING:
    from skeldir_huey.queue.executor import SkeldirHuey

log = get_log("queue.cron")

Run = Callable[[str, dict[str, Any]], list[dict[str, Any]]]  # runs a statement in an open transaction

MINUTE = dt.timedelta(minutes=1)
LONGEST = dt.timedelta(days=8)  # how far back missed minutes are looked for
WRONG = dt.timedelta(hours=1)  # so far ahead was the server's clock wrong; tick_move.sql and ticks_due.sql know it, too
TICKS = uuid.UUID("5b1c8f0e-6f0a-4c4e-9a0d-3f6f2a7f3c11")  # the ids of ticks are made in this name space


def tick_key(task: Any, name: str, at: dt.datetime) -> str:
    """Return what stands for one due minute of a periodic task: no two jobs in line have the same."""
    return f"{type(task).lane}:{name}@{at.astimezone(dt.UTC):%Y-%m-%dT%H:%M}"


def tick_id(key: str) -> str:
    """Return the id of a tick's job: always the same, so the history says whether a minute had its job."""
    return str(uuid.uuid5(TICKS, key))


def due_minutes(task: Any, last: dt.datetime, minute: dt.datetime) -> list[dt.datetime]:
    """Return the minutes after `last` up to `minute` at which a job is to be added, by the task's `missed` rule.

    Crontabs are read in UTC.
    """
    first = max(last, minute - LONGEST)
    steps = int((minute - first) / MINUTE)
    due = [
        at
        for at in (first + MINUTE * n for n in range(1, steps + 1))
        if task.validate_datetime(at.astimezone(dt.UTC).replace(tzinfo=None))
    ]
    missed = type(task).missed
    if missed == "all":
        return due
    if missed == "skip":
        return [at for at in due if at == minute]
    return due[-1:]


def tick(huey: SkeldirHuey, now: dt.datetime | None = None) -> int:
    """Add the jobs of every periodic task whose minute has come; returns how many.

    Args:
        now: the time to use; None, as in production, means the database's clock.
    """
    added = 0
    tasks = {huey._registry.task_to_string(type(task)): task for task in huey._registry.periodic_tasks}
    due = huey.storage.run(statement("ticks_due"), {"names": list(tasks), "now": now})
    for name in [row["task_name"] for row in due]:
        task = tasks[name]
        try:
            added += _tick_one(huey, task, name, now)
        except Exception:
            log.exception("tick_failed", task_name=name)
    return added


def _tick_one(huey: SkeldirHuey, task: Any, name: str, now: dt.datetime | None) -> int:
    with huey.storage.together() as run:
        seen = run(statement("tick_last"), {"task_name": name, "now": now})[0]
        minute = seen["minute"]
        last = seen["last_tick"] or minute - MINUTE
        if last > minute + WRONG:
            log.warning("clock_went_back", task_name=name, last_tick=last.isoformat())
            last = minute - MINUTE
        if last >= minute:
            return 0
        if not run(statement("tick_move"), {"task_name": name, "minute": minute}):
            return 0
        added = 0
        paused = run(statement("cron_paused"), {"task_name": name})[0]["paused"]
        # While it is paused its minutes pass: what was due meanwhile is not caught up.
        for at in () if paused else due_minutes(task, last, minute):
            added += len(_add(huey, run, task, name, at, False))
    return added


def backfill(
    huey: SkeldirHuey, connection: Connection, task: Any, name: str, minutes: Sequence[dt.datetime]
) -> list[str]:
    """Add the jobs of minutes that went by without one, on the caller's transaction; returns the ids of those added.

    A minute whose job is in line, or was done within the last hour, gets no second one, whoever else asks at once.
    """
    run = functools.partial(rows, connection)
    added = [_add(huey, run, task, name, at, True) for at in minutes]
    return [row["task_id"] for found in added for row in found]


def _add(
    huey: SkeldirHuey, run: Run, task: Any, name: str, at: dt.datetime, always_notify: bool
) -> list[dict[str, Any]]:
    key = tick_key(task, name, at)
    row = huey.row_of(type(task)(id=tick_id(key)), tick_key=key)
    return run(statement("enqueue"), row | {"always_notify": always_notify})
