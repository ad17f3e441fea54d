"""Errors: dead letters by fingerprint, from counts that the writers of letters keep."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.engine import Connection, Row

from skeldir_huey.db.tables import Consumer, ErrorDelta, ErrorGroup, ErrorTotal, FailedJob
from skeldir_huey.queue.fingerprint import parts_of

STATES = ("new", "back", "acknowledged", "fixed", "ignored")
DAYS = 7
MOST = 1000  # errors that are told apart on the page, the newest first

_COUNTED = ("tenant_id", "fingerprint", "day", "seen_count", "open_count", "first_at", "last_at")


@dataclass(frozen=True)
class Group:
    """One error.

    Attributes:
        seen: letters of it that were ever written; open: those that wait for somebody.
        days: letters per day of the last 7, today last.
        state: one of STATES; "back" is an error that was marked as fixed and came again.
        decision: the newest row of error_group that says something, or None.
        canary: the letter that was replayed to try it out, with its status, or None.
        next_letter: the newest letter that waits, or None.
    """

    fingerprint: str
    task_name: str
    exception_class: str | None
    message: Sequence[tuple[str, bool]]
    seen: int
    open: int
    tenant_count: int
    first_at: datetime
    last_at: datetime
    days: Sequence[int]
    state: str
    decision: Row | None
    canary: Row | None
    next_letter: Row | None


def _counts() -> Any:
    parts = [sa.select(*(getattr(table, name) for name in _COUNTED)) for table in (ErrorTotal, ErrorDelta)]
    return sa.union_all(*parts).subquery("counts")


@dataclass(frozen=True)
class Waiting:
    """The errors that letters wait with: how many letters and errors, those with most letters, and since when."""

    letter_count: int
    error_count: int
    worst: Sequence[Row]
    newest_at: datetime | None = None


def waiting(connection: Connection, shown: int) -> Waiting:
    """Return how much waits for somebody, and the `shown` errors with most letters that wait."""
    columns = _counts().c
    per_error = (
        sa.select(
            columns.fingerprint,
            sa.func.sum(columns.open_count).label("open"),
            sa.func.max(columns.last_at).label("last_at"),
        )
        .group_by(columns.fingerprint)
        .having(sa.func.sum(columns.open_count) > 0)
        .subquery("per_error")
    )
    worst = (
        sa.select(
            per_error,
            sa.cast(sa.func.sum(per_error.c.open).over(), sa.BigInteger).label("letter_count"),
            sa.func.count().over().label("error_count"),
            sa.func.max(per_error.c.last_at).over().label("newest_at"),
        )
        .order_by(per_error.c.open.desc(), per_error.c.last_at.desc(), per_error.c.fingerprint)
        .limit(shown)
        .subquery("worst")
    )
    words = sa.union_all(
        *(
            sa.select(table.task_name, table.exception_class).where(table.fingerprint == worst.c.fingerprint).limit(1)
            for table in (ErrorGroup, ErrorDelta)
        )
    ).limit(1)
    told = words.lateral("told")
    rows = connection.execute(
        sa.select(worst, told.c.task_name, told.c.exception_class)
        .join_from(worst, told, sa.true())
        .order_by(worst.c.open.desc(), worst.c.last_at.desc(), worst.c.fingerprint)
    ).all()
    if not rows:
        return Waiting(0, 0, [])
    return Waiting(rows[0].letter_count, rows[0].error_count, rows, rows[0].newest_at)


def groups(connection: Connection, now: datetime, fingerprint: str = "") -> list[Group]:
    """Return the errors of this scope, those that were seen last first; all of them, or one."""
    counts, first_day = _counts(), now.date() - timedelta(days=DAYS - 1)
    columns = counts.c
    # A sum per day of the last seven, today last.
    per_day = [
        sa.func.coalesce(sa.func.sum(columns.seen_count).filter(columns.day == first_day + timedelta(days=i)), 0).label(
            f"day{i}"
        )
        for i in range(DAYS)
    ]
    statement = (
        sa.select(
            columns.fingerprint,
            *per_day,
            sa.func.sum(columns.seen_count).label("seen"),
            sa.func.sum(columns.open_count).label("open"),
            sa.func.count(sa.distinct(columns.tenant_id)).label("tenant_count"),
            sa.func.min(columns.first_at).label("first_at"),
            sa.func.max(columns.last_at).label("last_at"),
        )
        .group_by(columns.fingerprint)
        .having(sa.func.sum(columns.seen_count) > 0)
        .order_by(sa.func.max(columns.last_at).desc(), columns.fingerprint)
        .limit(MOST)
    )
    if fingerprint:
        statement = statement.where(columns.fingerprint == fingerprint)
    found = connection.execute(statement).all()
    names = [row.fingerprint for row in found]
    words, decisions = _words(connection, names), _decisions(connection, names)
    made = []
    for row in found:
        told, decision = words[row.fingerprint], decisions.get(row.fingerprint)
        made.append(
            Group(
                fingerprint=row.fingerprint,
                task_name=told.task_name,
                exception_class=told.exception_class,
                message=parts_of(told.error_message),
                seen=int(row.seen),
                open=int(row.open),
                tenant_count=row.tenant_count,
                first_at=row.first_at,
                last_at=row.last_at,
                days=[int(getattr(row, f"day{i}")) for i in range(DAYS)],
                state=state_of(decision, row.last_at, now),
                decision=decision,
                canary=None,
                next_letter=None,
            )
        )
    return made


def state_of(decision: Any, last_at: datetime, now: datetime) -> str:
    """Return the state of an error: what was decided, unless what happened since says otherwise."""
    if decision is None or decision.state is None:
        return "new"
    if decision.state == "fixed" and last_at > decision.decided_at:
        return "back"
    if decision.state == "ignored" and now >= decision.ignored_until:
        return "new"
    return str(decision.state)


def _words(connection: Connection, names: Collection[str]) -> dict[str, Any]:
    parts = [
        sa.select(table.fingerprint, table.task_name, table.exception_class, table.error_message).where(
            table.fingerprint.in_(names)
        )
        for table in (ErrorGroup, ErrorDelta)
    ]
    both = sa.union_all(*parts).subquery()
    rows = connection.execute(sa.select(both).ext(distinct_on(both.c.fingerprint)).order_by(both.c.fingerprint))
    return {row.fingerprint: row for row in rows}


def _decisions(connection: Connection, names: Collection[str]) -> dict[str, Any]:
    # Tenants may have decided differently: the newest word counts where all are looked at.
    rows = connection.execute(
        sa.select(ErrorGroup)
        .ext(distinct_on(ErrorGroup.fingerprint))
        .where(ErrorGroup.fingerprint.in_(names), ErrorGroup.decided_at.is_not(None))
        .order_by(ErrorGroup.fingerprint, ErrorGroup.decided_at.desc(), ErrorGroup.id)
    )
    return {row.fingerprint: row for row in rows}


def canaries(connection: Connection, names: Collection[str]) -> dict[str, Any]:
    """Return the newest canary of each of these errors: its letter's id, status and job, and when it was sent."""
    rows = connection.execute(
        sa.select(
            ErrorGroup.fingerprint, ErrorGroup.canary_at, ErrorGroup.canary_task_id, FailedJob.id, FailedJob.tenant_id,
            FailedJob.status, FailedJob.resolved_at, FailedJob.failed_at,
        )
        .join(FailedJob, FailedJob.id == ErrorGroup.canary_letter_id)
        .ext(distinct_on(ErrorGroup.fingerprint))
        .where(ErrorGroup.fingerprint.in_(names), FailedJob.replayed_as == ErrorGroup.canary_task_id)
        .order_by(ErrorGroup.fingerprint, ErrorGroup.canary_at.desc())
    )  # fmt: skip
    return {row.fingerprint: row for row in rows}


def next_letters(connection: Connection, names: Sequence[str]) -> dict[str, Any]:
    """Return the newest letter of each of these errors that waits for somebody."""
    wanted = sa.select(sa.func.unnest(sa.literal(list(names), sa.ARRAY(sa.Text))).label("fingerprint")).subquery()
    newest = (
        sa.select(FailedJob.id, FailedJob.tenant_id)
        .where(FailedJob.fingerprint == wanted.c.fingerprint, FailedJob.status == "pending")
        .order_by(FailedJob.failed_at.desc(), FailedJob.id.desc())
        .limit(1)
        .lateral()
    )
    rows = connection.execute(sa.select(wanted.c.fingerprint, newest).select_from(wanted.join(newest, sa.true())))
    return {row.fingerprint: row for row in rows}


def tenants_of(connection: Connection, fingerprint: str) -> list[UUID | None]:
    """Return the tenants that have an error, None for letters without tenant, in a fixed order."""
    counts = _counts()
    found = connection.scalars(sa.select(counts.c.tenant_id).where(counts.c.fingerprint == fingerprint).distinct())
    return sorted(found, key=lambda tenant_id: str(tenant_id or ""))


def newest_version(connection: Connection) -> Row | None:
    """Return the newest version of a consumer and when it first started; None when only one was ever seen."""
    began = sa.func.min(Consumer.started_at)
    rows = connection.execute(
        sa.select(Consumer.version, began.label("at")).group_by(Consumer.version).order_by(began.desc()).limit(2)
    ).all()
    return rows[0] if len(rows) == 2 else None
