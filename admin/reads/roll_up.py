"""Where rates and times come from: whole quarters of an hour, and minutes for what is shorter or not yet a quarter."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from skeldir_huey.db.tables import RUN_MINUTES, RUN_QUARTERS

QUARTER = timedelta(minutes=15)
ORIGIN = datetime.fromisoformat("2000-01-03T00:00:00+00:00")
_ORIGIN_SQL = f"timestamptz '{ORIGIN.isoformat()}'"


def floor(at: datetime, step: timedelta) -> datetime:
    """Return the beginning of the step that an instant lies in."""
    return at - (at - ORIGIN) % step


def times(start: datetime, until: datetime, step: timedelta) -> list[datetime]:
    """Return the beginnings of the steps from one instant to another."""
    first = floor(start, step)
    return [first + i * step for i in range(int((until - first) / step) + 1)]


def counts(start: datetime, until: datetime, *names: str, finer: bool = False) -> Any:
    """Return a subquery of the roll-up's rows of a span, with `minute` or its quarter as `at`.

    A quarter that the span begins within is read by minutes: the sums are those of the span exactly.

    Args:
        names: the columns that are wanted; few columns are fast.
        finer: minutes only, for steps that are no multiples of a quarter.
    """
    m, q = RUN_MINUTES.c, RUN_QUARTERS.c
    minutes = sa.select(m.minute.label("at"), *(m[name] for name in names))
    if finer:
        return minutes.where(m.minute >= start, m.minute <= until).subquery("counts")
    first = floor(start + QUARTER - timedelta(microseconds=1), QUARTER)
    before = minutes.where(m.minute >= start, m.minute < first)
    quarters = sa.select(q.quarter.label("at"), *(q[name] for name in names))
    return sa.union_all(before, quarters.where(q.quarter >= first, q.quarter <= until)).subquery("counts")


def bar(at: Any, step: timedelta) -> sa.Label[Any]:
    """Return the step that a row's time lies in, labelled `bar`."""
    width: Any = sa.literal_column(f"interval '{int(step.total_seconds())} seconds'")
    return sa.func.date_bin(width, at, sa.literal_column(_ORIGIN_SQL)).label("bar")


def whole(column: Any, name: str) -> sa.Label[int]:
    """Return the sum of a column as a whole number."""
    return sa.cast(sa.func.sum(column), sa.BigInteger).label(name)
