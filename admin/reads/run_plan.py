"""The dry run of a recompute: which windows, how many events, how long it will take by the last runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from skeldir_huey.db.tables import Event, Run

DAY = timedelta(days=1)
MAX_DAYS = 366
LAST_RUNS = 20


@dataclass(frozen=True)
class Step:
    """One window of the plan: its events, and the run that has this window already."""

    start: datetime
    end: datetime
    conversion_count: int
    adjustment_count: int
    run: Row | None


@dataclass(frozen=True)
class Plan:
    """What would be done.

    Args:
        active: the run of one of these windows that is pending or running already; None when there is none.
        pace_s: seconds per conversion of the last succeeded runs; None when nothing was measured.
        runs_measured: how many runs that was measured from.
    """

    steps: Sequence[Step]
    active: Row | None
    pace_s: float | None
    runs_measured: int

    @property
    def conversion_count(self) -> int:
        return sum(step.conversion_count for step in self.steps)

    @property
    def adjustment_count(self) -> int:
        return sum(step.adjustment_count for step in self.steps)

    @property
    def expected_s(self) -> float | None:
        """Return how long the runs will take together, without waiting for a worker."""
        return None if self.pace_s is None else self.pace_s * self.conversion_count


def windows(first: datetime, last: datetime, daily: bool) -> list[tuple[datetime, datetime]]:
    """Return the half-open windows from the first to the last day, both included: one per day, or one for all."""
    if not daily:
        return [(first, last + DAY)]
    return [(first + i * DAY, first + (i + 1) * DAY) for i in range((last - first) // DAY + 1)]


def plan(
    connection: Connection, tenant_id: UUID, model_version: str, first: datetime, last: datetime, daily: bool
) -> Plan:
    """Return what a recompute of these days would do; nothing is written."""
    asked = windows(first, last, daily)
    counts = _counts(connection, tenant_id, first, last + DAY)
    known = {
        (run.window_start, run.window_end): run
        for run in connection.execute(
            sa.select(Run).where(
                Run.tenant_id == tenant_id,
                Run.model_version == model_version,
                Run.window_start >= first,
                Run.window_end <= last + DAY,
            )
        )
    }
    steps = [
        Step(
            start,
            end,
            sum(count for (day, kind), count in counts.items() if kind == "conversion" and start <= day < end),
            sum(count for (day, kind), count in counts.items() if kind == "adjustment" and start <= day < end),
            known.get((start, end)),
        )
        for start, end in asked
    ]
    active = next((step.run for step in steps if step.run and step.run.status in ("pending", "running")), None)
    pace_s, runs_measured = _pace(connection, tenant_id, model_version)
    return Plan(steps, active, pace_s, runs_measured)


def _counts(connection: Connection, tenant_id: UUID, start: datetime, end: datetime) -> dict[tuple[datetime, str], int]:
    day = sa.func.date_trunc("day", Event.occurred_at, "UTC", type_=sa.DateTime(timezone=True)).label("day")
    grouped = sa.select(day, Event.kind, sa.func.count().label("n")).where(
        Event.tenant_id == tenant_id,
        Event.kind.in_(("conversion", "adjustment")),
        Event.occurred_at >= start,
        Event.occurred_at < end,
    )
    return {
        (row.day.astimezone(UTC), row.kind): row.n
        for row in connection.execute(grouped.group_by(sa.text("1"), Event.kind))
    }


def _pace(connection: Connection, tenant_id: UUID, model_version: str) -> tuple[float | None, int]:
    took: Any = sa.func.extract("epoch", Run.finished_at - Run.started_at)
    last = (
        sa.select(sa.cast(took, sa.Double).label("took_s"), Run.conversion_count)
        .where(
            Run.tenant_id == tenant_id,
            Run.model_version == model_version,
            Run.status == "succeeded",
            Run.started_at.is_not(None),
            Run.conversion_count > 0,
        )
        .order_by(Run.created_at.desc(), Run.id.desc())
        .limit(LAST_RUNS)
        .subquery()
    )
    row = connection.execute(
        sa.select(sa.func.sum(last.c.took_s), sa.func.sum(last.c.conversion_count), sa.func.count())
    ).one()
    return (float(row[0]) / int(row[1]) if row[1] else None), row[2]
