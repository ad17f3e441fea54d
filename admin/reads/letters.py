"""Dead letters: the list, one letter, and all that happened to it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from admin.params import After
from admin.reads.pages import Page, count_up_to, read_page
from skeldir_huey.db.tables import ConsoleAudit, FailedJob, Job, JobAttempt
from skeldir_huey.queue.letter_filter import LetterFilter

STATUSES = ("pending", "in_progress", "resolved", "abandoned")

_LISTED = (
    FailedJob.id,
    FailedJob.tenant_id,
    FailedJob.task_id,
    FailedJob.task_name,
    FailedJob.queue,
    FailedJob.error_type,
    FailedJob.exception_class,
    FailedJob.error_message,
    FailedJob.retry_count,
    FailedJob.status,
    FailedJob.failed_at,
)


def page(connection: Connection, wanted: LetterFilter, after: After | None, size: int) -> Page:
    """Return one page of letters, the newest failure first."""
    statement = sa.select(*_LISTED).where(*wanted.conditions())
    return read_page(connection, statement, FailedJob.failed_at, FailedJob.id, after, size)  # type: ignore[arg-type]


def count(connection: Connection, wanted: LetterFilter) -> int:
    """Return how many letters match, counting no further than 10,001."""
    return count_up_to(connection, sa.select(FailedJob.id).where(*wanted.conditions()))


def exported(wanted: LetterFilter) -> sa.Select[*tuple[Any, ...]]:
    """Return the letters that match, for a download."""
    columns = (FailedJob.correlation_id, FailedJob.fingerprint, FailedJob.task_kwargs, FailedJob.replayed_as)
    found = sa.select(*_LISTED, *columns).where(*wanted.conditions())
    return found.order_by(FailedJob.failed_at.desc(), FailedJob.id.desc())


def one(connection: Connection, letter_id: UUID) -> Row | None:
    """Return a letter, or None when this scope has none of that id. The stored message is left out."""
    columns = [column for column in FailedJob.__table__.c if column.name != "message"]
    return connection.execute(sa.select(*columns).where(FailedJob.id == letter_id)).one_or_none()


def edited_to(connection: Connection, letter_id: UUID) -> UUID | None:
    """Return the letter of the job that was made of this one with other arguments, if it died."""
    original = sa.alias(FailedJob.__table__)
    # By the job that the letter names: its index is there.
    found: UUID | None = connection.scalar(
        sa.select(FailedJob.id)
        .join(original, FailedJob.task_id == original.c.replaced_by)
        .where(original.c.id == letter_id, FailedJob.tenant_id.is_not_distinct_from(original.c.tenant_id))
    )
    return found


def audit_of(connection: Connection, letter_id: UUID) -> Sequence[Row]:
    """Return what operators did to a letter, newest first."""
    return connection.execute(
        sa.select(ConsoleAudit)
        .where(ConsoleAudit.target_type == "dead_letter", ConsoleAudit.target_id == str(letter_id))
        .order_by(ConsoleAudit.id.desc())
        .limit(100)
    ).all()


def attempts_of(connection: Connection, task_ids: Collection[str]) -> Sequence[Row]:
    """Return the attempts of these jobs, newest first; history is kept 7 days."""
    return connection.execute(
        sa.select(JobAttempt)
        .where(JobAttempt.task_id.in_(task_ids))
        .order_by(JobAttempt.ended_at.desc(), JobAttempt.id.desc())
        .limit(200)
    ).all()


def job(connection: Connection, task_id: str | None) -> Row | None:
    """Return a job that has not ended, or None."""
    columns = (Job.task_id, Job.state, Job.lane, Job.attempt, Job.run_at, Job.claimed_at, Job.enqueued_at)
    return connection.execute(sa.select(*columns).where(Job.task_id == task_id)).one_or_none() if task_id else None
