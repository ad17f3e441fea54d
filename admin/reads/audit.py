"""The audit log: who did what to which row, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from admin.params import After
from admin.reads.pages import Page, read_page
from skeldir_huey.db.tables import ConsoleAudit

EXPORTED = (
    "at", "tenant_id", "actor", "source_address", "action", "target_type", "target_id", "reason", "result", "detail",
    "request_id", "chain_no", "hash",
)  # fmt: skip


@dataclass(frozen=True)
class Filters:
    """What to show; "" and None: everything. Days are UTC, both included."""

    actor: str = ""
    action: str = ""
    result: str = ""
    first_day: datetime | None = None
    last_day: datetime | None = None

    @property
    def given(self) -> dict[str, str]:
        """Return what was chosen, by the names of the URL."""
        names = {
            "who": self.actor,
            "action": self.action,
            "result": self.result,
            "from": self.first_day and self.first_day.strftime("%Y-%m-%d"),
            "to": self.last_day and self.last_day.strftime("%Y-%m-%d"),
        }
        return {name: value for name, value in names.items() if value}


def page(connection: Connection, filters: Filters, after: After | None) -> Page:
    """Return one page of audit rows, the newest first."""
    statement = sa.select(ConsoleAudit).where(*_conditions(filters))
    return read_page(connection, statement, ConsoleAudit.at, ConsoleAudit.id, after)  # type: ignore[arg-type]


def exported(filters: Filters) -> sa.Select[Any]:
    """Return the select of an export: the same rows, the newest first."""
    columns = [getattr(ConsoleAudit, name) for name in EXPORTED[:-1]]
    return (
        sa.select(*columns, sa.func.encode(ConsoleAudit.hash, "hex").label("hash"))
        .where(*_conditions(filters))
        .order_by(ConsoleAudit.at.desc(), ConsoleAudit.id.desc())
    )


def actions(connection: Connection) -> Sequence[str]:
    """Return every action that occurs, by jumping from one to the next in the index."""
    first = sa.select(sa.func.min(ConsoleAudit.action).label("action")).cte("step", recursive=True)
    following = (
        sa.select(sa.func.min(ConsoleAudit.action)).where(ConsoleAudit.action > first.c.action).scalar_subquery()
    )
    step = first.union_all(sa.select(following).where(first.c.action.is_not(None)))
    return connection.scalars(sa.select(step.c.action).where(step.c.action.is_not(None))).all()


def _conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if filters.actor:
        found.append(ConsoleAudit.actor == filters.actor)
    if filters.action:
        found.append(ConsoleAudit.action == filters.action)
    if filters.result:
        found.append(ConsoleAudit.result == filters.result)
    if filters.first_day:
        found.append(ConsoleAudit.at >= filters.first_day)
    if filters.last_day:
        found.append(ConsoleAudit.at < filters.last_day + timedelta(days=1))
    return found
