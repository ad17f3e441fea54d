"""Verbs on one job that has not ended: ask to cancel it, or give a running one to another worker."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from admin import trail
from admin.actions import acting
from admin.permissions import require_fresh
from skeldir_huey.errors import Conflict, NotFound
from skeldir_huey.queue import control

EXPLAINED = {
    "waiting": "It stays in line; when its turn comes it ends as cancelled instead of running.",
    "scheduled": "It stays on its date; when it is due it ends as cancelled instead of running.",
    "running": "What runs now goes on to its end. If this attempt fails, no further one is made.",
}
ASKED = {
    "waiting": "Asked. It is cancelled when its turn comes.",
    "scheduled": "Asked. It is cancelled when it is due.",
    "running": "Asked. The attempt that runs goes on; there will be no other.",
}


def cancel(user: Any, task_id: str, tenant_id: UUID | None, reason: str) -> str:
    """Ask the queue to cancel a job; returns the state in which it was.

    Raises:
        Forbidden: the user may look but not cancel.
        NotFound: no such job in this tenant.
        Conflict: it was asked before.
    """
    with acting(user, "cancel", tenant_id) as connection:
        job = control.ask_cancel(connection, task_id)
        if job is None or job["tenant_id"] != tenant_id:
            raise NotFound("no such job")
        if not job["asked"]:
            raise Conflict(trail.who_was_first(connection, "job", task_id, "It was asked to be cancelled before."))
        trail.record(
            connection, user.email, "cancel", "job", task_id,
            tenant_id=tenant_id, reason=reason, detail={"state": job["state"], "task": job["task_name"]},
        )  # fmt: skip
    return str(job["state"])


def release(user: Any, task_id: str, tenant_id: UUID | None, claim: UUID, reason: str) -> None:
    """Take a running job from its worker and put it back in line; what that worker writes later is rolled back.

    Args:
        claim: the token of the claim that the page showed: one that came after it is left alone.

    Raises:
        Forbidden: the user is no admin of the tenant.
        StaleSignIn: the password must have been given within the last minutes.
        NotFound: no such job in this tenant.
        Conflict: it does not run any more, or another worker has it by now.
    """
    with acting(user, "release", tenant_id) as connection:
        require_fresh()
        job = control.release_running(connection, task_id, claim, "taken from its worker by an operator")
        if job is None or job["tenant_id"] != tenant_id:
            raise NotFound("no such job")
        if not job["released"]:
            raise Conflict(trail.who_was_first(connection, "job", task_id, f"It is {job['state']}."))
        trail.record(
            connection, user.email, "release", "job", task_id,
            tenant_id=tenant_id, reason=reason, detail={"attempt": job["attempt"], "task": job["task_name"]},
        )  # fmt: skip
