"""How checks ask the database: one statement of sql/ each, or several of them in one round trip."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from skeldir_huey.config import settings
from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql

Answer = list[dict[str, Any]]

_fetched: ContextVar[dict[str, Answer]] = ContextVar("_fetched")


def ask(connection: Connection, name: str, **parameters: Any) -> Answer:
    """Return the rows of a statement: those that `together` fetched, else it is asked now."""
    fetched = _fetched.get({}).get(name)
    return fetched if fetched is not None else rows(connection, sql("observability", name), parameters)


@contextmanager
def together(connection: Connection, names: Sequence[str]) -> Iterator[None]:
    """Fetch the answers to several questions with one statement, for the `ask`s inside of the block.

    They come as JSON: numbers, texts, truth values and lists of these, no instants. When one question fails, none is
    fetched, so that each is asked by itself and its own failure is told.
    """
    token = _fetched.set(_fetch(connection, names) if len(names) > 1 else {})
    try:
        yield
    finally:
        _fetched.reset(token)


def _fetch(connection: Connection, names: Sequence[str]) -> dict[str, Answer]:
    try:
        with connection.begin_nested():
            row = connection.execute(
                sa.select(*(_as_json(name) for name in names)), {"frozen_after_s": settings().frozen_after_s}
            ).one()
    except sa.exc.DBAPIError:
        return {}
    return dict(zip(names, row, strict=True))


def _as_json(name: str) -> Any:
    """Return a question as one value: the list of its rows."""
    named = re.sub(r"%\((\w+)\)s", r":\1", sql("observability", name))  # parameters as SQLAlchemy writes them
    answer = sa.text(f"({named}) answer")
    listed = sa.func.coalesce(sa.func.json_agg(sa.literal_column("answer")), sa.literal_column("'[]'::json"))
    return sa.select(listed).select_from(answer).scalar_subquery()
