"""What an operator steers: pauses, caps and shares per lane, task and tenant; and what the queue says of itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.config import settings
from skeldir_huey.db.engine import rows
from skeldir_huey.errors import InputError, NotFound
from skeldir_huey.queue import states
from skeldir_huey.queue.lanes import check_lane
from skeldir_huey.queue.messages import JsonSerializer
from skeldir_huey.queue.storage import statement


def pause(
    connection: Connection,
    lane: str,
    *,
    by: str,
    reason: str,
    task_name: str | None = None,
    tenant_id: UUID | None = None,
    resume_at: dt.datetime | None = None,
) -> None:
    """Pause a lane, or one task or one tenant in it. Jobs that run go on; those that wait, wait.

    Args:
        connection: acting as a role that may write the rule (console_global, for a tenant console_tenant, or app_rw).
        by, reason: shown to everybody who asks why a job waits.
        resume_at: when it ends by itself; None means until `resume`.

    Raises:
        InputError: both a task and a tenant are named.
    """
    values = {"by": by, "reason": reason, "resume_at": resume_at}
    _run(connection, "pause", lane, task_name, tenant_id, values)


def resume(connection: Connection, lane: str, *, task_name: str | None = None, tenant_id: UUID | None = None) -> None:
    """End a pause and wake the consumers; does nothing where nothing is paused."""
    _run(connection, "resume", lane, task_name, tenant_id, {})


def apply_task_rule(connection: Connection, lane: str, task_name: str) -> None:
    """Hold the waiting jobs of a task, or let them go, as its rule says now.

    A pause marks only the jobs that its role may write: console_global those without tenant. Who pauses a task for all
    tenants calls this as console_tenant for each of them, in the same transaction.
    """
    rows(connection, statement("apply_task_rule"), {"lane": check_lane(lane), "task_name": task_name})


def _run(
    connection: Connection, verb: str, lane: str, task_name: str | None, tenant_id: UUID | None, values: dict[str, Any]
) -> None:
    if task_name is not None and tenant_id is not None:
        raise InputError("tenant_id", "name a task or a tenant, not both")
    kind = "task" if task_name is not None else "tenant" if tenant_id is not None else "lane"
    rows(
        connection,
        statement(f"{verb}_{kind}"),
        {"lane": check_lane(lane), "task_name": task_name, "tenant_id": tenant_id, **values},
    )


def resume_due(connection: Connection, now: dt.datetime | None = None) -> int:
    """End the pauses whose time is over; returns how many. Consumers do this each second."""
    due = rows(connection, statement("due_resumes"), {"now": now})
    for one in due:
        resume(connection, one["lane"], task_name=one["task_name"], tenant_id=one["tenant_id"])
    return len(due)


def set_cap(connection: Connection, lane: str, cap: int | None, task_name: str | None = None) -> None:
    """Let at most `cap` jobs of a lane, or of one task in it, run at once in all consumers; None lifts the cap.

    Raises:
        InputError: the cap is below 1 (pause instead).
    """
    _check_cap(cap)
    name = "set_lane_cap" if task_name is None else "set_task_cap"
    rows(connection, statement(name), {"lane": check_lane(lane), "cap": cap, "task_name": task_name})


def set_share(connection: Connection, lane: str, tenant_id: UUID, weight: float = 1, cap: int | None = None) -> None:
    """Set a tenant's weight (its share while others wait, default 1) and cap in a lane.

    Raises:
        InputError: the weight is not positive, or the cap is below 1.
    """
    _check_cap(cap)
    if not weight > 0:
        raise InputError("weight", f"must be more than 0, got {weight}")
    rows(
        connection,
        statement("set_tenant_share"),
        {"lane": check_lane(lane), "tenant_id": tenant_id, "weight": weight, "cap": cap},
    )


def _check_cap(cap: int | None) -> None:
    if cap is not None and cap < 1:
        raise InputError("cap", f"must be at least 1, got {cap}; to stop everything, pause")


def ledger(connection: Connection) -> list[dict[str, Any]]:
    """Return the conservation ledger: one row per lane and tenant, counts of jobs.

    enqueued = scheduled + waiting + running + done + dead + cancelled + pruned + gap; gap is 0 unless a job was lost.
    """
    return rows(connection, statement("ledger"))


def explain_waiting(connection: Connection, task_id: str) -> dict[str, Any]:
    """Say why a job waits.

    Returns:
        state, ahead_count (at most 10,001), and `reasons`: sentences, the strongest first; empty for a running job.

    Raises:
        NotFound: no such job is visible: it ended, or never was.
    """
    found = explain_each(connection, [task_id])
    if task_id not in found:
        raise NotFound(f"no job {task_id} is queued")
    return found[task_id]


def explain_each(connection: Connection, task_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Say of several jobs why each waits, as `explain_waiting`; jobs that are not visible are left out."""
    asked = {"task_ids": list(task_ids), "frozen_after_s": settings().frozen_after_s}
    return {
        job["task_id"]: {
            "task_id": job["task_id"],
            "state": job["state"],
            "lane": job["lane"],
            "ahead_count": job["ahead_count"],
            "reasons": [] if job["state"] == states.RUNNING else _reasons(job),
        }
        for job in rows(connection, statement("explain_waiting"), asked)
    }


def ask_cancel(connection: Connection, task_id: str) -> dict[str, Any] | None:
    """Ask for a job to be cancelled: it ends as cancelled when it is claimed next, an attempt that runs goes on.

    Args:
        connection: acting for the job's tenant as console_tenant, or for none as console_global.

    Returns:
        task_name, tenant_id, state, and asked: false when it had been asked before; None when no such job is visible.
    """
    word = JsonSerializer().serialize((None, False))  # what Huey's revoke stores: for ever, not once
    found = rows(connection, statement("ask_cancel"), {"task_id": task_id, "word": word})
    return found[0] if found else None


def run_scheduled(connection: Connection, lane: str, upto: int, most: int) -> int:
    """Make scheduled jobs of a lane due now, of this transaction's tenant; returns how many.

    Args:
        upto: the largest job id that is meant: what is added later is not.
        most: at most so many, those that are due first.
    """
    return int(rows(connection, statement("run_scheduled"), {"lane": lane, "upto": upto, "most": most})[0]["count"])


def cancel_waiting(connection: Connection, lane: str, upto: int, most: int) -> int:
    """Ask for waiting jobs of a lane to be cancelled, of this transaction's tenant; returns how many were not before.

    Args:
        upto, most: as `run_scheduled`, the oldest first.
    """
    values = {"lane": lane, "upto": upto, "most": most, "word": JsonSerializer().serialize((None, False))}
    return int(rows(connection, statement("cancel_waiting"), values)[0]["count"])


def release_running(connection: Connection, task_id: str, claim: UUID, why: str) -> dict[str, Any] | None:
    """Take a running job from its worker, uncounted: whoever is free claims it, and a late finish changes nothing.

    Args:
        connection: acting for the job's tenant as console_tenant, or for none as console_global.
        claim: the token of the claim that is to be given up; a later claim of the same job is left alone.
        why: shown with the job and in its history.

    Returns:
        task_name, tenant_id, state and attempt as they were, and released; None when no such job is visible.
    """
    found = rows(connection, statement("release_running"), {"task_id": task_id, "claim": claim, "why": why})
    return found[0] if found else None


def _reasons(job: dict[str, Any]) -> list[str]:
    reasons = []
    for what, name in (("lane", job["lane"]), ("task", job["task_name"]), ("tenant", job["tenant_id"])):
        if job[f"{what}_paused"]:
            reasons.append(f"paused: {what} {name}: {job[f'{what}_reason']}")
    if job["state"] == states.SCHEDULED:
        reasons.append(f"not due: runs at {job['run_at'].astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC")
    if not job["has_consumer"]:
        reasons.append(f"no consumer: nobody drains lane {job['lane']}")
    for what in ("lane", "task", "tenant"):
        cap, running = job[f"{what}_cap"], job[f"{what}_running"]
        if cap is not None and running >= cap:
            reasons.append(f"capped: {running} of {cap} allowed jobs of its {what} run")
    if job["state"] == states.WAITING and job["ahead_count"]:
        ahead = job["ahead_count"]
        words = "more than 10000 jobs" if ahead > 10_000 else "1 job" if ahead == 1 else f"{ahead} jobs"
        reasons.append(f"behind {words}")
    if job["apart"]:
        reasons.append("suspect: its worker died beside another suspect, so it begins in a process that has none")
    elif job["suspect"]:
        reasons.append("suspect: its worker died, so it begins in a process that has nothing else to do")
    if job["last_error"]:
        reasons.append(f"last attempt: {job['last_error']}")
    return reasons
