"""What a search finds: conditions for jobs, attempts and letters, and what a bare id may be."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.orm import aliased

from admin.reads.pages import Page, read_page
from admin.scope import Choice
from admin.search import JOB_STATES, LETTER_STATUSES, OUTCOMES, Query, Term
from skeldir_huey.db.tables import Event, FailedJob, Job, JobAttempt, Run

Condition = sa.ColumnElement[bool]

SHOWN = 25
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "=": operator.eq,
}  # fmt: skip


def job_conditions(query: Query, tenants: Sequence[Choice]) -> list[Condition] | None:
    """Return what a job that has not ended must fulfil; None when none of them can."""
    if any(term.value not in JOB_STATES for term in query.of("status")) or query.of("args"):
        return None
    found = _common(query, tenants, Job.task_id, Job.correlation_id, Job.task_name, Job.lane, Job.tenant_id)
    found += [Job.state == term.value for term in query.of("status")]
    found += [Job.last_error.icontains(term.value, autoescape=True) for term in query.of("error")]
    return found + [_COMPARE[term.operator](Job.attempt, term.number) for term in query.of("tries")]


def attempt_conditions(query: Query, tenants: Sequence[Choice], since: datetime | None) -> list[Condition] | None:
    """Return what an attempt must fulfil; None when none can. `since` is not looked at where an id says which."""
    if any(term.value not in OUTCOMES for term in query.of("status")) or query.of("args"):
        return None
    table = JobAttempt
    found = _common(query, tenants, table.task_id, table.correlation_id, table.task_name, table.lane, table.tenant_id)
    found += [table.outcome == term.value for term in query.of("status")]
    found += [_names_error(term, table.error_class, table.error_message) for term in query.of("error")]
    found += [_COMPARE[term.operator](table.attempt, term.number) for term in query.of("tries")]
    if since is not None and not query.of("id"):
        found.append(table.ended_at >= since)
    return found


def letter_conditions(query: Query, tenants: Sequence[Choice], since: datetime | None) -> list[Condition] | None:
    """Return what a dead letter must fulfil; None when none can. `since` as in `attempt_conditions`."""
    allowed = (*LETTER_STATUSES, "dead")
    if any(term.value not in allowed for term in query.of("status")):
        return None
    table = FailedJob
    found = _common(query, tenants, table.task_id, table.correlation_id, table.task_name, table.queue, table.tenant_id)
    found += [table.status == term.value for term in query.of("status") if term.value != "dead"]
    found += [_names_error(term, table.exception_class, table.error_message) for term in query.of("error")]
    for term in query.of("tries"):
        tried = sa.exists().where(
            JobAttempt.task_id == table.task_id, _COMPARE[term.operator](JobAttempt.attempt, term.number)
        )
        found.append(tried)
    for term in query.of("args"):
        # First by worker_failed_jobs_args: the planner would walk through all letters, expecting to meet some soon.
        named = aliased(table)
        with_it = sa.or_(*(named.task_kwargs.contains(value) for value in term.contained()))
        found.append(table.id == sa.func.any(sa.func.array(sa.select(named.id).where(with_it).scalar_subquery())))
    if since is not None and not query.of("id") and not query.of("correlation"):
        found.append(table.failed_at >= since)
    return found


def _common(
    query: Query, tenants: Sequence[Choice], task_id: Any, correlation_id: Any, task_name: Any, lane: Any, tenant: Any
) -> list[Condition]:
    found: list[Condition] = [task_id == term.value for term in query.of("id")]
    found += [correlation_id == UUID(term.value) for term in query.of("correlation")]
    for term in query.of("task"):
        # A whole name, or its last word.
        found.append(sa.or_(task_name == term.value, task_name.endswith("." + term.value, autoescape=True)))
    found += [lane == term.value for term in query.of("queue")]
    for term in query.of("tenant"):
        ids = [one.id for one in tenants if term.value.lower() in (str(one.id), one.name.lower())]
        found.append(tenant.in_(ids))
    return found


def _names_error(term: Term, error_class: Any, message: Any) -> Condition:
    return sa.or_(error_class.icontains(term.value, autoescape=True), message.icontains(term.value, autoescape=True))


def letters(connection: Connection, conditions: Sequence[Condition]) -> Page:
    """Return the newest dead letters that fulfil all conditions."""
    listed = (
        FailedJob.id, FailedJob.tenant_id, FailedJob.task_id, FailedJob.task_name, FailedJob.queue,
        FailedJob.error_type, FailedJob.exception_class, FailedJob.error_message, FailedJob.status, FailedJob.failed_at,
    )  # fmt: skip
    statement = sa.select(*listed).where(*conditions)
    return read_page(connection, statement, FailedJob.failed_at, FailedJob.id, None, SHOWN)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Found:
    """Something that has an id: its kind (job, letter, run, correlation, sale, tenant) and what leads to its page."""

    kind: str
    id: str
    tenant_id: UUID | None = None


def things_called(connection: Connection, wanted: UUID, tenants: Sequence[Choice]) -> list[Found]:
    """Return everything of this scope that has this id."""
    text = str(wanted)
    found = []
    is_job = (
        sa.exists().where(Job.task_id == text),
        sa.exists().where(JobAttempt.task_id == text),
        sa.exists().where(FailedJob.task_id == text),
    )
    if connection.scalar(sa.select(sa.or_(*is_job))):
        found.append(Found("job", text))
    if connection.scalar(sa.select(sa.exists().where(FailedJob.id == wanted))):
        found.append(Found("letter", text))
    if connection.scalar(sa.select(sa.exists().where(Run.id == wanted))):
        found.append(Found("run", text))
    sale = sa.select(Event.tenant_id).where(Event.id == wanted, Event.kind.in_(("conversion", "adjustment")))
    for tenant_id in connection.scalars(sale):
        found.append(Found("sale", text, tenant_id))
    found += [Found("tenant", text, one.id) for one in tenants if one.id == wanted]
    if not found:
        correlated = (sa.exists().where(table.correlation_id == wanted) for table in (Job, FailedJob, JobAttempt))
        if connection.scalar(sa.select(sa.or_(*correlated, sa.exists().where(Run.last_correlation_id == wanted)))):
            found.append(Found("correlation", text))
    return found
