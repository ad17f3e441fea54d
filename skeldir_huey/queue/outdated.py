"""What no single tenant's retention removes: sessions, consumers that are gone, old operations, counts of old errors.

How long each is kept stands in the database's function, and in docs/upkeep.md with every other table.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.queue.storage import statement

BATCH = 2000
PARTS = (
    "console_session",
    "worker_failed_jobs",
    "huey.consumer",
    "huey.chord_member",
    "huey.lock",
    "huey.bulk_operation",
    "huey.error_total",
    "huey.error_group",
)

# Opens a transaction of no tenant as app_rw, which commits at the end of its block.
Begin = Callable[[], AbstractContextManager[Connection]]


def remove(begin: Begin) -> dict[str, int]:
    """Remove what is outdated, each batch in a transaction of its own; returns how many rows of each part."""
    return {part: _remove(begin, part) for part in PARTS}


def count(connection: Connection) -> dict[str, int]:
    """Return how many rows `remove` would begin with: it does so, and takes it back.

    Returns:
        A count for each part, at most a batch of 2,000.
    """
    found = {}
    for part in PARTS:
        with connection.begin_nested() as tried:
            found[part] = _batch(connection, part)
            tried.rollback()
    return found


def _remove(begin: Begin, part: str) -> int:
    total = 0
    while True:
        with begin() as connection:
            batch = _batch(connection, part)
        total += batch
        if not batch:
            return total


def _batch(connection: Connection, part: str) -> int:
    values = {"part": part, "batch": BATCH}
    return int(rows(connection, statement("remove_outdated"), values)[0]["removed"])
