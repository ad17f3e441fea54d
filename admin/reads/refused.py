"""Records that imports refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from admin.params import After
from admin.reads.pages import Page, count_up_to, read_page
from skeldir_huey.db.tables import ConsoleAudit, DeadEvent

RECORD = "dead_event"
STATUSES = ("pending", "in_progress", "resolved", "ignored")


def matching(status: str, source: str, error: str) -> list[sa.ColumnElement[bool]]:
    """Return the conditions of the list's filters; "any" and "" filter nothing."""
    found = [] if status == "any" else [DeadEvent.remediation_status == status]
    if source:
        found.append(DeadEvent.source.icontains(source, autoescape=True))
    if error:
        parts = (DeadEvent.error_field, DeadEvent.error_message)
        found.append(sa.or_(*(part.icontains(error, autoescape=True) for part in parts)))
    return found


def page(connection: Connection, conditions: Sequence[Any], after: After | None) -> Page:
    """Return one page of records, the newest first."""
    columns = [column for column in DeadEvent.__table__.c if column.name not in ("payload", "reading")]
    statement = sa.select(*columns).where(*conditions)
    return read_page(connection, statement, DeadEvent.created_at, DeadEvent.id, after)  # type: ignore[arg-type]


def count(connection: Connection, conditions: Sequence[Any]) -> int:
    """Return how many records match, counting no further than 10,001."""
    return count_up_to(connection, sa.select(DeadEvent.id).where(*conditions))


def exported(conditions: Sequence[Any]) -> sa.Select[Any]:
    """Return the records that match, for a download."""
    columns = [column for column in DeadEvent.__table__.c if column.name not in ("idempotency_key", "reading")]
    return sa.select(*columns).where(*conditions).order_by(DeadEvent.created_at.desc(), DeadEvent.id.desc())


def one(connection: Connection, record_id: UUID) -> Row | None:
    """Return a record, or None when this scope has none of that id."""
    return connection.execute(sa.select(DeadEvent.__table__).where(DeadEvent.id == record_id)).one_or_none()


def audit_of(connection: Connection, record_id: UUID) -> Sequence[Row]:
    """Return what operators did to a record, newest first."""
    return connection.execute(
        sa.select(ConsoleAudit)
        .where(ConsoleAudit.target_type == RECORD, ConsoleAudit.target_id == str(record_id))
        .order_by(ConsoleAudit.id.desc())
        .limit(100)
    ).all()
