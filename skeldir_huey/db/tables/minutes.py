"""Roll-ups of what the queue did, by minutes and by quarters of an hour."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeEngine

from skeldir_huey.db.tables.base import Base


class _Counts:
    """What every roll-up counts, per lane, task and tenant."""

    lane: Mapped[str]
    task_name: Mapped[str]
    tenant_id: Mapped[UUID | None]
    done: Mapped[int] = mapped_column(sa.BigInteger)
    dead: Mapped[int] = mapped_column(sa.BigInteger)
    cancelled: Mapped[int] = mapped_column(sa.BigInteger)
    errored: Mapped[int] = mapped_column(sa.BigInteger)
    run_ms: Mapped[float]
    run_hist: Mapped[list[int]] = mapped_column(ARRAY(sa.BigInteger))
    wait_ms: Mapped[float]
    wait_hist: Mapped[list[int]] = mapped_column(ARRAY(sa.BigInteger))


class _Minute(_Counts):
    """Columns of both tables and of the view `huey.run_minutes`, which is what to read."""

    minute: Mapped[datetime]


class RunDelta(_Minute, Base):
    """Insert-only deltas, written with the history."""

    __tablename__ = "run_delta"
    __table_args__ = ({"schema": "huey"},)

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True, sort_order=-1)


class RunMinute(_Minute, Base):
    """Deltas folded into minutes."""

    __tablename__ = "run_minute"
    __table_args__ = (
        Index(
            "run_minute_key",
            "minute",
            "lane",
            "task_name",
            "tenant_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        Index("run_minute_tenant", "tenant_id", "minute"),
        {"schema": "huey"},
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True, sort_order=-1)


class RunQuarter(_Counts, Base):
    """The minutes by quarters of an hour; read the view `huey.run_quarters`."""

    __tablename__ = "run_quarter"
    __table_args__ = (
        Index(
            "run_quarter_key",
            "quarter",
            "lane",
            "task_name",
            "tenant_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        Index("run_quarter_tenant", "tenant_id", "quarter"),
        {"schema": "huey"},
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True, sort_order=-1)
    quarter: Mapped[datetime]


_COUNTS: dict[str, TypeEngine[Any]] = {
    "lane": sa.Text(),
    "task_name": sa.Text(),
    "tenant_id": sa.Uuid(),
    "done": sa.BigInteger(),
    "dead": sa.BigInteger(),
    "cancelled": sa.BigInteger(),
    "errored": sa.BigInteger(),
    "run_ms": sa.Float(),
    "run_hist": ARRAY(sa.BigInteger),
    "wait_ms": sa.Float(),
    "wait_hist": ARRAY(sa.BigInteger),
}


def _view(name: str, time: str) -> sa.TableClause:
    """Return a view of a roll-up: what is folded, and what is not yet."""
    counts: list[sa.ColumnClause[Any]] = [sa.column(column, kind) for column, kind in _COUNTS.items()]
    return sa.table(name, sa.column(time, sa.DateTime(timezone=True)), *counts, schema="huey")


RUN_MINUTES = _view("run_minutes", "minute")
RUN_QUARTERS = _view("run_quarters", "quarter")
