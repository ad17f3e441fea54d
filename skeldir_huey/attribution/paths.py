"""Path counts: how often each sequence of channels converted, and did not, by the UTC day of its end.

A path ends at a conversion, or at a touch that nothing of its journey follows for 30 days; it holds the touches since
the end before it, at most 30 days old. So each touch is part of one path at most, and conversions divided by paths is
the raw conversion rate. A touch in the same instant as a conversion counts as before it. Conversions without touch
have no path. The newest journeys may still convert: they count as not converted until they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.attribution.params import LOOKBACK_S
from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import InputError

_REACH_DAYS = LOOKBACK_S // 86_400 + 1


class PathCount(NamedTuple):
    """One path: its channels in order, and how many journeys of it converted and did not."""

    channels: tuple[str, ...]
    conversion_count: int
    null_count: int


def dirty_day_tenants(connection: Connection) -> list[UUID]:
    """Return the tenants with days to count; as app_rw, which may read this of all tenants."""
    return [row["tenant_id"] for row in rows(connection, sql("attribution", "dirty_day_tenants"))]


def count_paths(connection: Connection, tenant_id: UUID) -> int:
    """Count the paths again of all days that events were added to, and of those around them; return rows changed.

    Nothing is written where nothing changed. Two at once wait for one another.

    Args:
        connection: a transaction of the tenant, as app_user.
    """
    values = {"tenant_id": tenant_id, "reach_days": _REACH_DAYS, "lookback_s": LOOKBACK_S}
    rows(connection, sql("attribution", "lock_paths"), values)
    # Before the events are read: what an import commits after this keeps its mark.
    dirty = rows(connection, sql("attribution", "take_dirty_days"), values)
    return sum(rows(connection, sql("attribution", "count_paths"), values | days)[0]["changed_count"] for days in dirty)


def read_paths(
    connection: Connection, tenant_id: UUID, first_day: date, last_day: date, dedupe: str = "none"
) -> list[PathCount]:
    """Return the paths that ended on these days, both included, in C collation of their text.

    Args:
        dedupe: none, consecutive (A A B -> A B) or unique (first of each channel).

    Raises:
        InputError: the last day is before the first one.
    """
    if last_day < first_day:
        raise InputError("last_day", f"must not be before first_day: {last_day} is before {first_day}")
    values = {"tenant_id": tenant_id, "first_day": first_day, "end_day": last_day + timedelta(days=1)}
    rows(connection, sql("attribution", "tune"))
    # Plain tuples, not rows by name: there may be hundreds of thousands.
    found = connection.exec_driver_sql(sql("attribution", "read_paths"), values).fetchall()
    if dedupe == "none":
        return [PathCount(tuple(path.split(">")), converted, lost) for path, converted, lost in found]
    counts: dict[tuple[str, ...], tuple[int, int]] = {}
    for path, converted, lost in found:
        channels = deduped(path.split(">"), dedupe)
        before = counts.get(channels, (0, 0))
        counts[channels] = before[0] + converted, before[1] + lost
    return [PathCount(channels, *both) for channels, both in counts.items()]


def deduped(channels: Sequence[str], dedupe: str) -> tuple[str, ...]:
    """Return the channels without the repetitions that `dedupe` names."""
    if dedupe == "unique":
        return tuple(dict.fromkeys(channels))
    if dedupe == "consecutive":
        return tuple(channel for nth, channel in enumerate(channels) if nth == 0 or channels[nth - 1] != channel)
    return tuple(channels)


def parse_day(value: object, field: str) -> date:
    """Return a day.

    Raises:
        InputError: it is no ISO-8601 date, such as 2025-06-01.
    """
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise InputError(field, f"expected a day such as 2025-06-01, got {value!r}") from None
