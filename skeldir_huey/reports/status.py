"""How fresh each view and summary is: for the command, the console and the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.reports.registry import REPORTS, View


@dataclass(frozen=True)
class Refresh:
    """A row of matview_refresh: outcome is running, refreshed, unchanged, skipped or failed."""

    id: int
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    row_count: int | None
    asked_by: str
    error_message: str | None


@dataclass(frozen=True)
class Status:
    """How fresh a view is.

    Args:
        behind_s: since when it does not show its inputs as they are, seconds; 0 when it does. With what its summary
            has not shown it yet.
        change_count: marks of change that its next refresh takes.
        has_changes: whether a refresh would do anything.
        age_s, refreshed_at: since, and when, its last good refresh began; None when there was none.
        duration_s, row_count: of that refresh.
        last: the newest refresh of any outcome; None when there was none.
        locked_by: the process id of the session that refreshes it now.
        size_bytes: with its indexes.
    """

    view: View
    behind_s: float
    change_count: int
    has_changes: bool
    age_s: float | None
    refreshed_at: datetime | None
    duration_s: float | None
    row_count: int | None
    last: Refresh | None
    locked_by: int | None
    size_bytes: int

    @property
    def is_behind(self) -> bool:
        """Return whether its own refresh, or first that of its summary, has something to do."""
        return self.behind_s > 0

    @property
    def is_late(self) -> bool:
        """Return whether it is further behind than its target allows."""
        return self.behind_s > self.view.fresh_s


def read_status(connection: Connection) -> list[Status]:
    """Return the status of all views and summaries, in the order of their refresh.

    Args:
        connection: a transaction as app_user, app_rw or a role of the console; no tenant's rows are looked at.
    """
    found = {row["view_name"]: row for row in rows(connection, sql("reports", "status"))}
    made: dict[str, Status] = {}
    for view in REPORTS:
        row = found[view.name]
        own_s = row["oldest_s"]
        if row["is_moving"]:  # its window of time moves on without anybody changing anything
            own_s = max(own_s, row["age_s"] or 0.0)
        below = [made[name].behind_s for name in view.reads if name in made]
        made[view.name] = Status(
            view=view,
            behind_s=max(own_s, *below, 0.0),
            has_changes=bool(row["change_count"] or row["is_moving"]),
            last=_last(row),
            **{
                name: row[name]
                for name in (
                    "change_count",
                    "age_s",
                    "refreshed_at",
                    "duration_s",
                    "row_count",
                    "locked_by",
                    "size_bytes",
                )
            },
        )
    return list(made.values())


def _last(row: dict[str, Any]) -> Refresh | None:
    if row["last_id"] is None:
        return None
    return Refresh(**{name.removeprefix("last_"): value for name, value in row.items() if name.startswith("last_")})
