"""Runs: the row of attribution_recompute_jobs follows its job from pending to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.attribution.types import Outcome, Run
from skeldir_huey.clock import parse_instant
from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import InputError, NotFound
from skeldir_huey.tenancy import parse_uuid


@dataclass(frozen=True)
class Identity:
    """What identifies a run: a tenant, a half-open window [start, end) of conversion times, a model version."""

    tenant_id: UUID
    window_start: datetime
    window_end: datetime
    model_version: str

    @property
    def values(self) -> dict[str, Any]:
        """Return the parameters of the statements that find a run."""
        return dict(vars(self))


def identify(tenant_id: object, window_start: object, window_end: object, model_version: object) -> Identity:
    """Return the identity of a run, checked as far as no database is needed.

    Args:
        tenant_id: a uuid or its text.
        window_start, window_end: aware datetimes, or ISO-8601 text with a zone; start before end.
        model_version: name@version.

    Raises:
        InputError: names the field that is wrong.
    """
    tenant = parse_uuid(tenant_id, "tenant_id")
    start = parse_instant(window_start, "window_start")
    end = parse_instant(window_end, "window_end")
    if start >= end:
        raise InputError(
            "window_end", f"must be after window_start: {end.isoformat()} is not after {start.isoformat()}"
        )
    if not isinstance(model_version, str):
        raise InputError("model_version", f"expected name@version, got {model_version!r}")
    return Identity(tenant, start, end, model_version)


def request(connection: Connection, run: Identity, correlation_id: UUID, reason: str = "asked") -> tuple[Run, bool]:
    """Make the run pending, unless it is pending or running already.

    Args:
        reason: who wants it: asked (somebody), dirty (late data) or backfill.

    Returns:
        the run as it is now, and whether it needs a job, see `assign`.
    """
    values = run.values | {"correlation_id": correlation_id, "reason": reason}
    made = rows(connection, sql("attribution", "request_run"), values)
    return (run_of(made[0]), True) if made else (find(connection, run), False)


def assign(connection: Connection, tenant_id: UUID, run_id: UUID, task_id: str) -> Run:
    """Say which job will do the run."""
    values = {"tenant_id": tenant_id, "run_id": run_id, "task_id": task_id}
    return run_of(rows(connection, sql("attribution", "own_run"), values)[0])


def start(connection: Connection, run: Identity, task_id: str | None, correlation_id: UUID | None) -> Run:
    """Mark the run running, done by this job; a job that was enqueued without a run makes it."""
    values = run.values | {"task_id": task_id, "correlation_id": correlation_id}
    return run_of(rows(connection, sql("attribution", "start_run"), values)[0])


def succeed(connection: Connection, tenant_id: UUID, run_id: UUID, outcome: Outcome) -> Run:
    """Mark the run succeeded and count the completed execution."""
    values = {"tenant_id": tenant_id, "run_id": run_id} | vars(outcome)
    return run_of(rows(connection, sql("attribution", "finish_run"), values)[0])


def mark_stale(connection: Connection, run: Run, changed_spans: Sequence[str]) -> None:
    """Say of the version's other runs that their counts and checksum are no longer those of now.

    Args:
        run: the one that changed allocations.
        changed_spans: the conversion times of these, as texts of multiranges.
    """
    values = {"tenant_id": run.tenant_id, "run_id": run.id, "model_version": run.model_version}
    rows(connection, sql("attribution", "mark_stale"), values | {"changed_spans": list(changed_spans)})


def fail(connection: Connection, tenant_id: UUID, task_id: str, error_message: str) -> int:
    """Mark the runs of this job failed; return how many: none of those that a newer job took over."""
    values = {"tenant_id": tenant_id, "task_id": task_id, "error_message": error_message}
    return len(rows(connection, sql("attribution", "fail_run"), values))


def replayed(connection: Connection, run: Identity, task_id: str) -> None:
    """Make a failed run pending again, to be done by the job that its dead letter became."""
    rows(connection, sql("attribution", "replay_run"), run.values | {"task_id": task_id})


def find(connection: Connection, run: Identity) -> Run:
    """Return the run with this identity.

    Raises:
        NotFound: there is none.
    """
    found = rows(connection, sql("attribution", "find_run"), run.values)
    if not found:
        raise NotFound("no such run")
    return run_of(found[0])


def read(connection: Connection, tenant_id: UUID, run_id: UUID) -> Run:
    """Return a run of the tenant by its id.

    Raises:
        NotFound: there is none.
    """
    found = rows(connection, sql("attribution", "read_run"), {"tenant_id": tenant_id, "run_id": run_id})
    if not found:
        raise NotFound(f"no run {run_id} of this tenant")
    return run_of(found[0])


def was_ever_asked(connection: Connection, tenant_id: UUID, model_version: str) -> bool:
    """Return whether there is any run of this version."""
    values = {"tenant_id": tenant_id, "model_version": model_version}
    return bool(rows(connection, sql("attribution", "any_run"), values)[0]["known"])


def run_of(row: dict[str, Any]) -> Run:
    """Return the run of a row that has all of its columns."""
    if row["checksum"] is not None:
        row["checksum"] = bytes(row["checksum"])  # the driver gives a view of its buffer
    return Run(**row)
