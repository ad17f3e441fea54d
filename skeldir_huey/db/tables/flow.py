"""The queue's conservation ledger, and locks."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from skeldir_huey.db.tables.base import NOW, Base


class Flow(Base):
    """Insert-only deltas of the ledger: written by the statement that adds or ends jobs."""

    __tablename__ = "flow"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    lane: Mapped[str]
    tenant_id: Mapped[UUID | None]
    kind: Mapped[str]
    job_count: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (
        CheckConstraint("kind in ('enqueued', 'done', 'dead', 'cancelled', 'pruned')"),
        {"schema": "huey"},
    )


class FlowTotal(Base):
    """Deltas folded together."""

    __tablename__ = "flow_total"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    lane: Mapped[str]
    tenant_id: Mapped[UUID | None]
    kind: Mapped[str]
    job_count: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (
        Index("flow_total_key", "lane", "tenant_id", "kind", unique=True, postgresql_nulls_not_distinct=True),
        {"schema": "huey"},
    )


class Lock(Base):
    """A named lock; one taken inside a job is held while that claim lives."""

    __tablename__ = "lock"

    key: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    claim_token: Mapped[UUID | None]
    expires_at: Mapped[datetime | None]
    acquired_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = ({"schema": "huey"},)
