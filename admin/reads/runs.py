"""Runs: recomputes of one tenant, window and model version."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from admin.params import After
from admin.reads.pages import Page, count_up_to, read_page
from skeldir_huey.db.tables import Run

STATUSES = ("pending", "running", "succeeded", "failed")


def _matching(status: str) -> list[sa.ColumnElement[bool]]:
    return [] if status == "any" else [Run.status == status]


def page(connection: Connection, status: str, after: After | None) -> Page:
    """Return one page of runs, the newest first."""
    statement = sa.select(Run).where(*_matching(status))
    return read_page(connection, statement, Run.created_at, Run.id, after)  # type: ignore[arg-type]


def count(connection: Connection, status: str) -> int:
    """Return how many runs match, counting no further than 10,001."""
    return count_up_to(connection, sa.select(Run.id).where(*_matching(status)))


def one(connection: Connection, run_id: UUID) -> Row | None:
    """Return a run, or None when this scope has none of that id."""
    return connection.execute(sa.select(Run).where(Run.id == run_id)).one_or_none()
