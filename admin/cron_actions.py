"""Pause, resume, run and backfill periodic tasks: each checks, acts and writes its audit rows in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from admin import trail
from admin.actions import acting
from admin.reads import cron, overview, ticks
from skeldir_huey.db.tables import CronPause
from skeldir_huey.errors import Conflict, NotFound
from skeldir_huey.main import huey
from skeldir_huey.queue import cron as queue_cron

VERBS = ("pause", "resume")


def steer(user: Any, verb: str, names: Sequence[str], reason: str) -> int:
    """Pause or resume periodic tasks; returns how many of them were not so already.

    Raises:
        Forbidden: the user is no operator of all tenants.
        NotFound: a name is not one of a periodic task; nothing was changed.
    """
    with acting(user, "cron", None) as connection:
        if not names or any(name not in cron.known() for name in names):
            raise NotFound("no such periodic task")
        changed = _pause(connection, names, user.email, reason) if verb == "pause" else _resume(connection, names)
        for name in sorted(changed):
            _record(connection, user, f"cron_{verb}", name, reason, {})
    return len(changed)


def run_now(user: Any, name: str, reason: str) -> str:
    """Enqueue a periodic task's job at once, also while it is paused; returns the job's id.

    Raises:
        Forbidden, NotFound: as `steer`.
        Conflict: a job of it waits or runs already, and there may be one only.
    """
    with acting(user, "cron", None) as connection:
        if name not in cron.known():
            raise NotFound("no such periodic task")
        task = type(cron.known()[name])()
        task_id = huey.enqueue_in(connection, task)
        if task_id != task.id:
            raise Conflict(f"Job {task_id[:8]} of it waits or runs already. Nothing was changed.", task_id)
        _record(connection, user, "cron_run", name, reason, {"task_id": task_id})
    return task_id


def backfill(user: Any, name: str, first: datetime, last: datetime, reason: str) -> list[str]:
    """Enqueue the jobs of the due minutes of a range that had none, each once; returns their ids.

    However often and by however many people this is asked at once, a minute gets one job: its id and its tick key say
    which minute it is of. It works while the task is paused, too.

    Raises:
        Forbidden, NotFound: as `steer`.
        InputError: the range is wrong, or too large.
        Conflict: no minute of it is without a job.
    """
    with acting(user, "cron", None) as connection:
        if name not in cron.known():
            raise NotFound("no such periodic task")
        found = ticks.between(connection, name, first, last, overview.now(connection))
        empty = [tick.at for tick in found if tick.state == "none"]
        added = queue_cron.backfill(huey, connection, cron.known()[name], name, empty)
        if not added:
            raise Conflict("Every due minute of this range has its job already. Nothing was changed.")
        minutes = [tick.at.isoformat() for tick in found if tick.task_id in set(added)]
        detail = {"from": first.isoformat(), "to": last.isoformat(), "minutes": minutes}
        _record(connection, user, "cron_backfill", name, reason, detail)
    return added


def _pause(connection: Connection, names: Sequence[str], by: str, reason: str) -> list[str]:
    rows = [{"task_name": name, "paused_by": by, "pause_reason": reason} for name in dict.fromkeys(names)]
    made = insert(CronPause).values(rows).on_conflict_do_nothing().returning(CronPause.task_name)
    return list(connection.scalars(made))


def _resume(connection: Connection, names: Sequence[str]) -> list[str]:
    gone = sa.delete(CronPause).where(CronPause.task_name.in_(names)).returning(CronPause.task_name)
    return list(connection.scalars(gone))


def _record(connection: Connection, user: Any, action: str, name: str, reason: str, detail: dict[str, Any]) -> None:
    trail.record(connection, user.email, action, "cron", name, reason=reason, detail=detail)
