"""One lane: its pauses, who shares it, and what keeps its first jobs from running."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from admin.reads import roll_up
from skeldir_huey.db.tables import Job, Lane, TaskRule, TenantRule
from skeldir_huey.queue import control

WAITING_SHOWN = 10
DAY = timedelta(hours=24)
PARTS_SHOWN = 50


@dataclass(frozen=True)
class Target:
    """What a pause is about: a lane, or one task or one tenant in it."""

    lane: str
    task_name: str | None = None
    tenant_id: UUID | None = None

    @property
    def kind(self) -> str:
        return "task" if self.task_name else "tenant" if self.tenant_id else "lane"


@dataclass
class Part:
    """A task or a tenant in a lane: its jobs in each state, how many of those are held, and its pause if it has one."""

    key: Any
    counts: dict[str, int] = field(default_factory=lambda: {"waiting": 0, "running": 0, "scheduled": 0})
    held: int = 0
    pause: Row | None = None


@dataclass(frozen=True)
class Parts:
    """The tasks and the tenants of a lane, those that wait most first, and all its waiting jobs."""

    tasks: Sequence[Part]
    tenants: Sequence[Part]
    waiting: int


def pause_of(connection: Connection, target: Target) -> Row | None:
    """Return who paused this exact target, when, why and until when; None when it is not paused."""
    table: type[Lane] | type[TaskRule] | type[TenantRule]
    if target.kind == "lane":
        table, here = Lane, Lane.name == target.lane
    elif target.kind == "task":
        table, here = TaskRule, sa.and_(TaskRule.lane == target.lane, TaskRule.task_name == target.task_name)
    else:
        table, here = TenantRule, sa.and_(TenantRule.lane == target.lane, TenantRule.tenant_id == target.tenant_id)
    return connection.execute(
        sa.select(table.paused_at, table.paused_by, table.pause_reason, table.resume_at).where(
            here, table.paused_at.is_not(None)
        )
    ).one_or_none()


def parts(connection: Connection, lane: str, until: datetime, tenant_id: UUID | None) -> Parts:
    """Return who has jobs in a lane, or a pause, or had an attempt in the last 24 hours; at most 50 tasks and tenants.

    Args:
        until: the database's clock.
        tenant_id: the tenant of the scope; it is listed even without jobs.
    """
    tasks: dict[str, Part] = {}
    tenants: dict[UUID | None, Part] = {}
    waiting = 0
    grouped = sa.select(
        Job.task_name,
        Job.tenant_id,
        Job.state,
        sa.func.count().label("n"),
        sa.func.count().filter(Job.held).label("held"),
    ).where(Job.lane == lane)
    for row in connection.execute(grouped.group_by(Job.task_name, Job.tenant_id, Job.state)):
        waiting += row.n if row.state == "waiting" else 0
        for part in (
            tasks.setdefault(row.task_name, Part(row.task_name)),
            tenants.setdefault(row.tenant_id, Part(row.tenant_id)),
        ):
            part.counts[row.state] += row.n
            part.held += row.held
    if tenant_id is not None:
        tenants.setdefault(tenant_id, Part(tenant_id))
    for row in connection.execute(_seen_or_paused(lane, until)):
        if row.kind == "tenant":
            tenants.setdefault(row.tenant_id, Part(row.tenant_id)).pause = row
        else:
            part = tasks.setdefault(row.task_name, Part(row.task_name))
            part.pause = row if row.kind == "task" else part.pause
    return Parts(_busiest(tasks.values()), _busiest(tenants.values()), waiting)


def _seen_or_paused(lane: str, until: datetime) -> Any:
    """Return the select of tasks of which something ended in the last 24 hours, and of pauses in a lane."""
    # From the roll-up: the history of a day is a hundred thousand attempts.
    ended = roll_up.counts(until - DAY, until, "lane", "task_name").c
    no_time = sa.cast(sa.null(), sa.DateTime(timezone=True))
    no_tenant = sa.cast(sa.null(), sa.Uuid).label("tenant_id")
    seen = sa.select(
        sa.literal("seen").label("kind"),
        ended.task_name,
        no_tenant,
        no_time.label("paused_at"),
        sa.null().label("paused_by"),
        sa.null().label("pause_reason"),
        no_time.label("resume_at"),
    )
    every: list[sa.Select[Any]] = [seen.where(ended.lane == lane).distinct()]
    for kind, rule, key in (
        ("task", TaskRule, (TaskRule.task_name, no_tenant)),
        ("tenant", TenantRule, (sa.null(), TenantRule.tenant_id)),
    ):
        pause = (rule.paused_at, rule.paused_by, rule.pause_reason, rule.resume_at)
        every.append(sa.select(sa.literal(kind), *key, *pause).where(rule.lane == lane, rule.paused_at.is_not(None)))
    return sa.union_all(*every)


def _busiest(found: Iterable[Part]) -> list[Part]:
    ranked = sorted(found, key=lambda part: (part.pause is None, -part.counts["waiting"], str(part.key)))
    return ranked[:PARTS_SHOWN]


def knows_task(connection: Connection, lane: str, task_name: str, until: datetime) -> bool:
    """Return whether a task has a job or a rule in a lane, or had an attempt there in the last 24 hours."""
    ended = roll_up.counts(until - DAY, until, "lane", "task_name").c
    seen = (
        sa.select(Job.id).where(Job.lane == lane, Job.task_name == task_name),
        sa.select(TaskRule.lane).where(TaskRule.lane == lane, TaskRule.task_name == task_name),
        sa.select(ended.lane).where(ended.lane == lane, ended.task_name == task_name),
    )
    return bool(connection.scalar(sa.select(sa.or_(*(sa.exists(one) for one in seen)))))


def tenants_with(connection: Connection, target: Target) -> Sequence[UUID]:
    """Return the tenants that have jobs of a task in a lane."""
    found = connection.scalars(
        sa.select(Job.tenant_id)
        .where(Job.lane == target.lane, Job.task_name == target.task_name, Job.tenant_id.is_not(None))
        .distinct()
        .order_by(Job.tenant_id)
    )
    return [tenant_id for tenant_id in found if tenant_id is not None]


def owners(connection: Connection, lane: str, state: str, upto: int | None = None) -> dict[UUID | None, int]:
    """Return how many jobs of a lane are in a state, per tenant; None stands for those without tenant.

    Args:
        upto: the largest job id that counts; None means all.
    """
    found = sa.select(Job.tenant_id, sa.func.count().label("n")).where(Job.lane == lane, Job.state == state)
    if upto is not None:
        found = found.where(Job.id <= upto)
    rows = connection.execute(found.group_by(Job.tenant_id).order_by(Job.tenant_id)).all()
    return {row.tenant_id: row.n for row in rows}


def newest_id(connection: Connection) -> int:
    """Return the largest id of a job that this scope sees, 0 when it sees none."""
    return connection.scalar(sa.select(sa.func.max(Job.id))) or 0


def first_waiting(connection: Connection, lane: str) -> list[dict[str, Any]]:
    """Return the waiting jobs that come first, at most 10, those that are held last; `reasons` say why each waits."""
    # Two walks through the line, each to its first ten: jobs that are held stand outside of the index of the others.
    lines = (
        sa.select(Job.task_id, Job.task_name, Job.tenant_id, Job.run_at, Job.attempt, Job.held)
        .where(Job.lane == lane, Job.state == "waiting", held)
        .order_by(Job.priority.desc(), Job.rank, Job.id)
        .limit(WAITING_SHOWN)
        for held in (Job.held.is_(False), Job.held.is_(True))
    )
    found = connection.execute(sa.union_all(*lines)).all()
    found = sorted(found, key=lambda row: row.held)[:WAITING_SHOWN]  # a stable sort: each line keeps its order
    told = control.explain_each(connection, [row.task_id for row in found])
    # One that was claimed and ended since is left out.
    return [
        row._asdict() | {"reasons": told[row.task_id]["reasons"], "state": told[row.task_id]["state"]}
        for row in found
        if row.task_id in told
    ]
