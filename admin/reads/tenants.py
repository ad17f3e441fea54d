"""Tenants: who has open failures, who waits, who uses the workers, and how old each one's data is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.engine import Connection, Row

from admin.reads import roll_up
from admin.reads.roll_up import whole
from skeldir_huey.db.tables import (
    DirtyRange,
    ErrorDelta,
    ErrorTotal,
    Event,
    ExchangeRate,
    Job,
    Lane,
    Published,
    ReconciledOrder,
    Reconciliation,
    Tenant,
    TenantRule,
)

PAGE_SIZE = 25
RECONCILIATIONS_SHOWN = 5
ORDERS_SHOWN = 10
DAY = timedelta(hours=24)


@dataclass(frozen=True)
class TenantState:
    """A tenant's row.

    Args:
        open_letters: pending dead letters.
        done, dead: jobs that ended so in the last 24 hours; failed_share is dead of both, None when none ended.
        work_share: its part of all workers' time in 24 hours; None where other tenants' time cannot be seen.
        last_event_at: of its newest conversion or refund.
        late_since: since when late data waits to be computed; None: nothing waits.
    """

    tenant_id: UUID
    open_letters: int
    done: int
    dead: int
    waiting: int
    waiting_since: datetime | None
    work_ms: int
    work_share: float | None
    last_event_at: datetime | None
    reconciled: Row | None
    late_since: datetime | None

    @property
    def failed_share(self) -> float | None:
        return self.dead / (self.done + self.dead) if self.done + self.dead else None


def states(connection: Connection, tenants: Sequence[UUID], until: datetime, sees_all: bool) -> list[TenantState]:
    """Return a row for each of these tenants, in their order.

    Args:
        until: the database's clock.
        sees_all: whether this scope sees every tenant's work, so that shares can be told.
    """
    day = roll_up.counts(until - DAY, until, "tenant_id", "done", "dead", "run_ms").c
    sums = (whole(day.done, "done"), whole(day.dead, "dead"), whole(day.run_ms, "run_ms"))
    worked = {row.tenant_id: row for row in connection.execute(sa.select(day.tenant_id, *sums).group_by(day.tenant_id))}
    whole_ms = sum(row.run_ms for row in worked.values())
    waiting = {
        row.tenant_id: row
        for row in connection.execute(
            sa.select(Job.tenant_id, sa.func.count().label("n"), sa.func.min(Job.run_at).label("since"))
            .where(Job.state == "waiting", Job.tenant_id.in_(tenants))
            .group_by(Job.tenant_id)
        )
    }
    facts = {row.id: row for row in connection.execute(_facts(tenants))}
    return [
        TenantState(
            tenant_id=one,
            open_letters=facts[one].open_letters if one in facts else 0,
            done=worked[one].done if one in worked else 0,
            dead=worked[one].dead if one in worked else 0,
            waiting=waiting[one].n if one in waiting else 0,
            waiting_since=waiting[one].since if one in waiting else None,
            work_ms=worked[one].run_ms if one in worked else 0,
            work_share=(worked[one].run_ms if one in worked else 0) / whole_ms if sees_all and whole_ms else None,
            last_event_at=facts[one].last_event_at if one in facts else None,
            reconciled=facts[one] if one in facts and facts[one].created_at is not None else None,
            late_since=facts[one].late_since if one in facts else None,
        )
        for one in tenants
    ]


def one(connection: Connection, tenant_id: UUID) -> Row | None:
    """Return a tenant's own facts, its published version and the database's clock; None outside of this scope."""
    published = (
        sa.select(Published.model_version).where(Published.tenant_id == Tenant.id).scalar_subquery().label("published")
    )
    clock = sa.func.clock_timestamp().label("now")
    return connection.execute(sa.select(Tenant, published, clock).where(Tenant.id == tenant_id)).one_or_none()


def lanes(connection: Connection, tenant_id: UUID) -> Sequence[Row]:
    """Return every lane with the tenant's weight, cap and pause there (None: no rule), and its jobs by state."""
    counts = {
        state: sa.func.count(Job.id).filter(Job.state == state).label(state)
        for state in ("waiting", "running", "scheduled")
    }
    rule = (TenantRule.weight, TenantRule.cap, TenantRule.paused_at, TenantRule.paused_by, TenantRule.pause_reason,
            TenantRule.resume_at)  # fmt: skip
    return connection.execute(
        sa.select(Lane.name, *rule, *counts.values())
        .join(TenantRule, sa.and_(TenantRule.lane == Lane.name, TenantRule.tenant_id == tenant_id), isouter=True)
        .join(Job, sa.and_(Job.lane == Lane.name, Job.tenant_id == tenant_id), isouter=True)
        .group_by(Lane.name, *rule)
        .order_by(Lane.name)
    ).all()


def reconciliations(connection: Connection, tenant_id: UUID) -> Sequence[Row]:
    """Return the tenant's last reconciliations, the newest first."""
    return connection.execute(
        sa.select(Reconciliation)
        .where(Reconciliation.tenant_id == tenant_id)
        .order_by(Reconciliation.created_at.desc(), Reconciliation.id.desc())
        .limit(RECONCILIATIONS_SHOWN)
    ).all()


def rates(connection: Connection, tenant_id: UUID) -> Sequence[Row]:
    """Return the tenant's newest exchange rate of each currency, as reports in one currency use it; the primary key."""
    one = ExchangeRate
    return connection.execute(
        sa.select(one.currency, one.base, one.day, one.rate, one.source, one.created_at)
        .ext(distinct_on(one.currency))
        .where(one.tenant_id == tenant_id)
        .order_by(one.currency, one.day.desc(), one.rate_seq.desc())
    ).all()


def reconciled_money(connection: Connection, tenant_id: UUID, reconciliation_id: UUID) -> Sequence[Row]:
    """Return claimed, verified, allocated and ghost cents of a reconciliation, one row per currency."""
    sums = [
        whole(column, name)
        for name, column in (
            ("claimed", ReconciledOrder.claimed_cents),
            ("verified", ReconciledOrder.verified_cents),
            ("allocated", ReconciledOrder.allocated_cents),
            ("ghost", ReconciledOrder.ghost_cents),
        )
    ]
    return connection.execute(
        sa.select(ReconciledOrder.currency, sa.func.count().label("order_count"), *sums)
        .where(ReconciledOrder.tenant_id == tenant_id, ReconciledOrder.reconciliation_id == reconciliation_id)
        .group_by(ReconciledOrder.currency)
        .order_by(ReconciledOrder.currency)
    ).all()


def worst_orders(connection: Connection, tenant_id: UUID, reconciliation_id: UUID) -> Sequence[Row]:
    """Return the orders of a reconciliation that do not match, those with most claimed too much first; at most 10."""
    return connection.execute(
        sa.select(ReconciledOrder)
        .where(
            ReconciledOrder.tenant_id == tenant_id,
            ReconciledOrder.reconciliation_id == reconciliation_id,
            sa.or_(ReconciledOrder.ghost_cents != 0, ReconciledOrder.allocation_state != "matched"),
        )
        .order_by(sa.func.abs(ReconciledOrder.ghost_cents).desc(), ReconciledOrder.order_id)
        .limit(ORDERS_SHOWN)
    ).all()


def discrepancy_bp(row: Row) -> int | None:
    """Return by how much claims are above verified money, in hundredths of a percent, as a reconciliation rounds it."""
    if not row.verified:
        return 0 if row.claimed == 0 else None
    exact = Decimal(10_000 * (row.claimed - row.verified)) / Decimal(row.verified)
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def _facts(tenants: Sequence[UUID]) -> Any:
    # One look into an index per tenant and fact, whatever the tables hold.
    # Counted by the writers of letters: in a few folded rows, and in those that are not folded yet.
    letters = sum(
        (
            sa.func.coalesce(
                sa.select(sa.func.sum(table.open_count)).where(table.tenant_id == Tenant.id).scalar_subquery(), 0
            )
            for table in (ErrorTotal, ErrorDelta)
        ),
        start=sa.literal(0, sa.BigInteger),
    )
    newest = (
        sa.select(Event.occurred_at)
        .where(Event.tenant_id == Tenant.id, Event.kind.in_(("conversion", "adjustment")))
        .order_by(Event.occurred_at.desc(), Event.ingest_seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    late = sa.select(sa.func.min(DirtyRange.created_at)).where(DirtyRange.tenant_id == Tenant.id).scalar_subquery()
    counts = (
        Reconciliation.created_at,
        Reconciliation.ghost_count,
        Reconciliation.unallocated_count,
        Reconciliation.under_allocated_count,
        Reconciliation.over_allocated_count,
    )
    last = (
        sa.select(*counts)
        .where(Reconciliation.tenant_id == Tenant.id)
        .order_by(Reconciliation.created_at.desc(), Reconciliation.id.desc())
        .limit(1)
        .lateral()
    )
    named = (
        sa.cast(letters, sa.BigInteger).label("open_letters"),
        newest.label("last_event_at"),
        late.label("late_since"),
    )
    return sa.select(Tenant.id, *named, last).join(last, sa.true(), isouter=True).where(Tenant.id.in_(tenants))


def is_matched(row: Row) -> bool:
    """Return whether a reconciliation found nothing: no claim above the verified money, all of that allocated."""
    return not (row.ghost_count or row.unallocated_count or row.under_allocated_count or row.over_allocated_count)
