"""Jobs: those that have not ended, those that have, and all that is known of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from admin.params import After
from admin.reads.pages import PAGE_SIZE, Page, count_up_to, read_page
from skeldir_huey.db.tables import ConsoleAudit, Consumer, FailedJob, Job, JobAttempt, Run
from skeldir_huey.log import redact
from skeldir_huey.queue.messages import JsonSerializer, encode

Condition = sa.ColumnElement[bool]

_LISTED = (
    Job.id, Job.task_id, Job.task_name, Job.tenant_id, Job.lane, Job.state, Job.attempt, Job.run_at, Job.enqueued_at,
    Job.claimed_at, Job.held, Job.last_error,
)  # fmt: skip
_ENDED = (
    JobAttempt.task_id, JobAttempt.task_name, JobAttempt.tenant_id, JobAttempt.lane, JobAttempt.attempt,
    JobAttempt.outcome, JobAttempt.ended, JobAttempt.ended_at, JobAttempt.wait_ms, JobAttempt.run_ms,
    JobAttempt.worker, JobAttempt.error_class, JobAttempt.error_message,
)  # fmt: skip


@dataclass(frozen=True)
class Message:
    """What a job carries, read without executing anything; `readable` false: a newer or damaged message."""

    readable: bool
    arguments: dict[str, Any] | None = None
    timeout_s: float | None = None
    next_task: str | None = None


def running(connection: Connection, conditions: Sequence[Condition], limit: int = 200) -> list[dict[str, Any]]:
    """Return the running jobs, the oldest claim first, with their consumer's heartbeat and their timeout in seconds."""
    statement = (
        sa.select(*_LISTED, Job.message, Consumer.host, Consumer.pid, Consumer.heartbeat_at)
        .join(Consumer, Consumer.id == Job.consumer_id, isouter=True)
        .where(Job.state == "running", *conditions)
        .order_by(Job.claimed_at, Job.id)
        .limit(limit)
    )
    return [row._asdict() | {"timeout_s": read_message(row.message).timeout_s} for row in connection.execute(statement)]


def queued(connection: Connection, conditions: Sequence[Condition], before: int | None) -> Page:
    """Return one page of jobs that wait or are scheduled, the newest first.

    Args:
        before: the id of the last row of the page before. Served by the primary key of huey.job.
    """
    statement = sa.select(*_LISTED).where(*conditions)
    if before is not None:
        statement = statement.where(Job.id < before)
    rows = connection.execute(statement.order_by(Job.id.desc()).limit(PAGE_SIZE + 1)).all()
    more = len(rows) > PAGE_SIZE
    rows = rows[:PAGE_SIZE]
    return Page(rows, After(rows[-1].enqueued_at, str(rows[-1].id)) if more else None)


def attempts(connection: Connection, conditions: Sequence[Condition], after: After | None) -> Page:
    """Return one page of attempts that ended, the newest first."""
    statement = sa.select(*_ENDED).where(*conditions)
    return read_page(connection, statement, JobAttempt.ended_at, JobAttempt.id, after)  # type: ignore[arg-type]


def count(connection: Connection, conditions: Sequence[Condition]) -> int:
    """Return how many jobs that have not ended match, counting no further than 10,001."""
    return count_up_to(connection, sa.select(Job.id).where(*conditions))


def one(connection: Connection, task_id: str) -> dict[str, Any] | None:
    """Return a job that has not ended, its consumer and its message as read; None when this scope has none."""
    found = connection.execute(
        sa.select(Job, Consumer.host, Consumer.pid, Consumer.heartbeat_at)
        .join(Consumer, Consumer.id == Job.consumer_id, isouter=True)
        .where(Job.task_id == task_id)
    ).one_or_none()
    return found._asdict() | {"read": read_message(found.message)} if found is not None else None


def read_message(message: bytes) -> Message:
    """Return what a stored message says, with secrets hidden at every depth."""
    try:
        read = JsonSerializer().deserialize(bytes(message))
        arguments = redact({"args": encode(list(read.args or ())), "kwargs": encode(dict(read.kwargs or {}))})
        return Message(True, arguments, read.timeout, read.on_complete.name if read.on_complete else None)
    except Exception:
        # Whatever stands in the row: a page about it must open, above all when it is damaged.
        return Message(False)


def attempts_of(connection: Connection, task_ids: Sequence[str]) -> Sequence[Row]:
    """Return the attempts of jobs, the first one first; history is kept 7 days."""
    return connection.execute(
        sa.select(JobAttempt)
        .where(JobAttempt.task_id.in_(task_ids))
        .order_by(JobAttempt.ended_at, JobAttempt.id)
        .limit(200)
    ).all()


def letters_of(connection: Connection, task_id: str, letter_ids: Sequence[UUID]) -> Sequence[Row]:
    """Return the dead letters that a job left, or that it replays; without their stored message."""
    columns = [column for column in FailedJob.__table__.c if column.name != "message"]
    return connection.execute(
        sa.select(*columns)
        .where(sa.or_(FailedJob.task_id == task_id, FailedJob.id.in_(letter_ids)))
        .order_by(FailedJob.failed_at)
        .limit(20)
    ).all()


def replays_of(connection: Connection, letters: Sequence[Row]) -> list[dict[str, Any]]:
    """Return every job that replayed one of these letters: id, state or last outcome, and when; the oldest first."""
    acts = connection.execute(
        sa.select(ConsoleAudit.detail["task_id"].astext.label("task_id"), ConsoleAudit.at)
        .where(
            ConsoleAudit.target_type == "dead_letter",
            ConsoleAudit.target_id.in_([str(letter.id) for letter in letters]),
            ConsoleAudit.action == "replay",
        )
        .order_by(ConsoleAudit.id)
        .limit(100)
    ).all()
    found: dict[str, dict[str, Any]] = {}
    for letter in letters:
        for task_id in (letter.replayed_as, letter.replaced_by):
            if task_id:
                found[task_id] = {"task_id": task_id, "word": None, "at": letter.last_retry_at}
    for act in acts:
        if act.task_id:
            found[act.task_id] = {"task_id": act.task_id, "word": None, "at": act.at}
    ended = sa.select(JobAttempt.task_id, JobAttempt.outcome.label("word"), JobAttempt.ended_at.label("at"))
    queued_now = sa.select(Job.task_id, Job.state.label("word"), Job.enqueued_at.label("at"))
    for row in connection.execute(ended.where(JobAttempt.task_id.in_(list(found))).order_by(JobAttempt.ended_at)):
        found[row.task_id] = row._asdict()
    for row in connection.execute(queued_now.where(Job.task_id.in_(list(found)))):
        found[row.task_id] = row._asdict()
    return sorted(found.values(), key=lambda one: (one["at"] is not None, one["at"]))


def same_error(connection: Connection, fingerprint: str) -> Row:
    """Return how many letters have this fingerprint, how many of them are pending, of how many tenants, since when."""
    return connection.execute(
        sa.select(
            sa.func.count().label("letters"),
            sa.func.count().filter(FailedJob.status == "pending").label("pending"),
            sa.func.count(FailedJob.tenant_id.distinct()).label("tenants"),
            sa.func.min(FailedJob.failed_at).label("first_at"),
            sa.func.max(FailedJob.failed_at).label("last_at"),
        ).where(FailedJob.fingerprint == fingerprint)
    ).one()


def runs_of(connection: Connection, task_id: str) -> Sequence[Row]:
    """Return the recomputes whose last job this is."""
    return connection.execute(sa.select(Run).where(Run.task_id == task_id).limit(20)).all()


@dataclass(frozen=True)
class Correlated:
    """Everything that carries one correlation id, each list at most 200 long."""

    jobs: Sequence[Row]
    letters: Sequence[Row]
    runs: Sequence[Row]


def correlated(connection: Connection, correlation_id: UUID) -> Correlated:
    """Return the jobs that have not ended, the letters and the runs of a correlation id."""
    letters = (
        FailedJob.id, FailedJob.task_id, FailedJob.task_name, FailedJob.tenant_id, FailedJob.status,
        FailedJob.exception_class, FailedJob.error_type, FailedJob.error_message, FailedJob.failed_at,
    )  # fmt: skip
    return Correlated(
        connection.execute(
            sa.select(*_LISTED).where(Job.correlation_id == correlation_id).order_by(Job.id).limit(200)
        ).all(),
        connection.execute(
            sa.select(*letters)
            .where(FailedJob.correlation_id == correlation_id)
            .order_by(FailedJob.failed_at)
            .limit(200)
        ).all(),
        connection.execute(
            sa.select(Run).where(Run.last_correlation_id == correlation_id).order_by(Run.created_at).limit(200)
        ).all(),
    )


def correlated_attempts(connection: Connection, correlation_id: UUID, since: datetime) -> Sequence[Row]:
    """Return the attempts of a correlation id since then, the first one first, at most 200."""
    return connection.execute(
        sa.select(*_ENDED)
        .where(JobAttempt.correlation_id == correlation_id, JobAttempt.ended_at >= since)
        .order_by(JobAttempt.ended_at)
        .limit(200)
    ).all()
