"""How a window's rows are read: they lie in the order of their events, while the index that finds them is by time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql


@contextmanager
def by_block(connection: Connection) -> Iterator[None]:
    """Let the statements of this block read each block of a table once, not once for each row.

    The planner would do so by itself if its statistics knew the version; while a first run works, they never do.
    """
    rows(connection, sql("attribution", "read_ranges"), {"by_block": True})
    yield
    rows(connection, sql("attribution", "read_ranges"), {"by_block": False})
