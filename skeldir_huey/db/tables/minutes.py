"""Minute roll-ups of what the queue did."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from skeldir_huey.db.tables.base import Base


class _Minute:
    """Columns of both tables and of the view `huey.run_minutes`, which is what to read."""

    minute: Mapped[datetime]
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


RUN_MINUTES = sa.table(
    "run_minutes",
    sa.column("minute", sa.DateTime(timezone=True)),
    sa.column("lane", sa.Text),
    sa.column("task_name", sa.Text),
    sa.column("tenant_id", sa.Uuid),
    sa.column("done", sa.BigInteger),
    sa.column("dead", sa.BigInteger),
    sa.column("cancelled", sa.BigInteger),
    sa.column("errored", sa.BigInteger),
    sa.column("run_ms", sa.Float),
    sa.column("run_hist", ARRAY(sa.BigInteger)),
    sa.column("wait_ms", sa.Float),
    sa.column("wait_hist", ARRAY(sa.BigInteger)),
    schema="huey",
)
