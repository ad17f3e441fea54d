"""Refresh now: checked, enqueued and audited in one transaction."""

from __future__ import annotations

from typing import Any

from admin import trail
from admin.actions import acting
from skeldir_huey.errors import Conflict
from skeldir_huey.queue.instance import huey
from skeldir_huey.reports.registry import View
from skeldir_huey.reports.status import read_status
from skeldir_huey.tasks.reports import refresh_view


def refresh(user: Any, view: View, reason: str) -> tuple[str, bool]:
    """Ask for a refresh of a view and of the summaries that it reads.

    Returns:
        the job, and whether it was made: not when somebody asked already and it has not ended.

    Raises:
        Forbidden: the user is no operator of all tenants.
        Conflict: a refresh of it runs.
    """
    with acting(user, "refresh", None) as connection:
        status = next(one for one in read_status(connection) if one.view == view)
        if status.locked_by is not None:
            who = f", asked for by {status.last.asked_by}" if status.last and status.last.outcome == "running" else ""
            raise Conflict(f"A refresh of {view.name} runs already{who}.")
        task = refresh_view.s(view.name, asked_by=user.email, forced=True)
        task_id = huey.enqueue_in(connection, task)
        if task_id != task.id:
            return task_id, False
        trail.record(
            connection, user.email, "refresh", "matview", view.name, reason=reason, detail={"task_id": task_id}
        )
    return task_id, True
