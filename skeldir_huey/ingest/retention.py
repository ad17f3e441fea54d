"""What may no longer be kept: counted, or removed batch by batch, once the totals of its months are frozen.

Whole months go, so that what is frozen and what is kept never overlap. Events stay a lookback longer than allocations,
and sales as long as a refund of theirs. The database's own functions remove; no role but theirs may delete an event.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import InputError

KEEP_DAYS = 90
LEAST_DAYS, MOST_DAYS = 30, 3650
BATCH = 2000
SWEEPS = 3  # a sale goes in the walk after the one that took its refunds

# In this order: events go when no allocation and no child of theirs is left.
PARTS = ("attribution_allocations", "attribution_events", "reconciliation_orders", "dead_events")
# Refused records that somebody resolved or ignored go a year after they came.
SETTLED = ("settled_records",)

# Opens a transaction of the tenant as app_user, which commits at the end of its block.
Begin = Callable[[], AbstractContextManager[Connection]]


def count(connection: Connection, keep_letters_days: int) -> dict[str, Any]:
    """Return what `enforce` would remove of the tenant of this transaction, and where its boundary would be.

    Returns:
        keep_days, removed_before (now), would_be_removed_before (None: nothing is old enough), and a count for each
        part of both kinds, dead_events meaning payloads taken away, worker_failed_jobs meaning settled dead letters.
    """
    values = {"keep_days": KEEP_DAYS, "keep_letters_days": keep_letters_days}
    return rows(connection, sql("ingest", "count_expired"), values)[0]


def enforce(begin: Begin) -> dict[str, int]:
    """Freeze the months that are old enough and remove them, each batch in a transaction of its own.

    Returns:
        How many rows of each part were removed; of dead_events, how many payloads were taken away.
    """
    with begin() as connection:
        rows(connection, sql("ingest", "advance_retention"), {"keep_days": KEEP_DAYS})
    removed = {part: _walk(begin) if part == "attribution_events" else _remove(begin, part) for part in PARTS}
    return removed | {part: _settled(begin, part) for part in SETTLED}


def set_keep_days(connection: Connection, days: int | None) -> None:
    """Say how long the tenant's allocations and events are kept; None means the default.

    Raises:
        InputError: not between 30 and 3650 days.
    """
    if days is not None and not LEAST_DAYS <= days <= MOST_DAYS:
        raise InputError("keep_days", f"expected {LEAST_DAYS} to {MOST_DAYS}, got {days}")
    rows(connection, sql("ingest", "set_keep_days"), {"days": days})


def _remove(begin: Begin, part: str) -> int:
    total = 0
    while True:
        removed, _ = _batch(begin, part, None)
        total += removed
        if not removed:
            return total


def _settled(begin: Begin, part: str) -> int:
    total = 0
    while True:
        with begin() as connection:
            values = {"part": part, "batch": BATCH}
            removed = rows(connection, sql("ingest", "remove_settled"), values)[0]["removed"]
        total += removed
        if not removed:
            return total


def _walk(begin: Begin) -> int:
    with begin() as connection:
        if not rows(connection, sql("ingest", "is_sweep_due"))[0]["is_due"]:
            return 0
    total = 0
    for _ in range(SWEEPS):
        found, after = _batch(begin, "attribution_events", None)
        while after is not None:
            removed, after = _batch(begin, "attribution_events", after)
            found += removed
        total += found
        if not found:
            break
    return total


def _batch(begin: Begin, part: str, after: UUID | None) -> tuple[int, UUID | None]:
    values = {"part": part, "keep_days": KEEP_DAYS, "after": after, "batch": BATCH}
    with begin() as connection:
        row = rows(connection, sql("ingest", "remove_expired"), values)[0]
    return row["removed"], row["next_id"]
