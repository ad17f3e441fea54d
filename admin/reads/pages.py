"""Lists that page by key: the next page starts after the last row seen, however deep it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from admin.params import After

PAGE_SIZE = 25
COUNT_CAP = 10_000


@dataclass(frozen=True)
class Page:
    """Rows of one page, and where the next one starts; None at the end."""

    rows: Sequence[Row]
    next: After | None


def read_page(
    connection: Connection,
    statement: sa.Select[Any],
    at: sa.ColumnElement[Any],
    row_id: sa.ColumnElement[Any],
    after: After | None,
    size: int = PAGE_SIZE,
) -> Page:
    """Return one page of a select, newest first by (at, row_id).

    Args:
        statement: without order and limit; its rows carry both columns, labelled `page_at` and `page_id` here.
        at: a timestamp that an index has descending.
        row_id: the tie-breaker of equal timestamps.
        after: the end of the page before.
        size: rows per page, default 25.
    """
    statement = statement.add_columns(at.label("page_at"), row_id.label("page_id"))
    if after is not None:
        key = UUID(after.id) if isinstance(row_id.type, sa.Uuid) else int(after.id)
        statement = statement.where(
            sa.tuple_(at, row_id) < sa.tuple_(sa.literal(after.at, at.type), sa.literal(key, row_id.type))
        )
    # One more than a page tells whether there is another.
    rows = connection.execute(statement.order_by(at.desc(), row_id.desc()).limit(size + 1)).all()
    more = len(rows) > size
    rows = rows[:size]
    return Page(rows, After(rows[-1].page_at, str(rows[-1].page_id)) if more else None)


def count_up_to(connection: Connection, statement: sa.Select[Any], cap: int = COUNT_CAP) -> int:
    """Return how many rows a select has, counting no further than `cap` + 1."""
    return connection.scalar(sa.select(sa.func.count()).select_from(statement.limit(cap + 1).subquery())) or 0
