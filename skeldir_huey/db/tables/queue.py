"""The queue (schema huey): jobs, their history, and dead letters."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from skeldir_huey.db.tables.base import NOW, Base, row_id

_CLAIMABLE = "state = 'waiting' and not held"


class FailedJob(Base):
    """A dead letter; tenant null: of no tenant, seen by operators of all tenants only."""

    __tablename__ = "worker_failed_jobs"

    id: Mapped[UUID] = row_id()
    tenant_id: Mapped[UUID | None]
    task_id: Mapped[str]
    task_name: Mapped[str]
    queue: Mapped[str]
    worker: Mapped[str | None]
    task_args: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    task_kwargs: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    error_type: Mapped[str]
    exception_class: Mapped[str | None]
    error_message: Mapped[str] = mapped_column(server_default="")
    traceback: Mapped[str | None]
    fingerprint: Mapped[str]
    retry_count: Mapped[int] = mapped_column(server_default=text("0"))
    last_retry_at: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(server_default="pending")
    remediation_notes: Mapped[str | None]
    resolved_at: Mapped[datetime | None]
    correlation_id: Mapped[UUID | None]
    failed_at: Mapped[datetime] = mapped_column(server_default=NOW)
    replayed_as: Mapped[str | None]
    message: Mapped[bytes]
    status_at: Mapped[datetime] = mapped_column(server_default=NOW)
    replaced_by: Mapped[str | None]
    edited_from: Mapped[UUID | None]

    __table_args__ = (
        CheckConstraint(
            "error_type in ('transient', 'permanent', 'timeout', 'worker_lost', 'expired', 'unknown_task')"
        ),
        CheckConstraint("status in ('pending', 'in_progress', 'resolved', 'abandoned')"),
        CheckConstraint("(status = 'resolved') = (resolved_at is not null)"),
        Index("worker_failed_jobs_task", "tenant_id", "task_id", unique=True, postgresql_nulls_not_distinct=True),
        Index("worker_failed_jobs_recent", "tenant_id", text("failed_at desc"), text("id desc")),
        Index("worker_failed_jobs_status", "status", text("failed_at desc"), text("id desc")),
        Index("worker_failed_jobs_correlation", "correlation_id"),
        Index("worker_failed_jobs_all", text("failed_at desc"), text("id desc")),
        Index(
            "worker_failed_jobs_args",
            "task_kwargs",
            postgresql_using="gin",
            postgresql_ops={"task_kwargs": "jsonb_path_ops"},
        ),
        Index("worker_failed_jobs_fingerprint", "fingerprint", "status", text("failed_at desc"), text("id desc")),
    )


class Lane(Base):
    __tablename__ = "lane"

    name: Mapped[str] = mapped_column(primary_key=True)
    paused_at: Mapped[datetime | None]
    paused_by: Mapped[str | None]
    pause_reason: Mapped[str | None]
    resume_at: Mapped[datetime | None]
    cap: Mapped[int | None]
    virtual_time: Mapped[float] = mapped_column(server_default=text("0"))

    __table_args__ = (CheckConstraint("cap > 0"), {"schema": "huey"})


class TaskRule(Base):
    """A task's cap and pause in a lane."""

    __tablename__ = "task_rule"

    lane: Mapped[str] = mapped_column(ForeignKey("huey.lane.name"), primary_key=True)
    task_name: Mapped[str] = mapped_column(primary_key=True)
    cap: Mapped[int | None]
    paused_at: Mapped[datetime | None]
    paused_by: Mapped[str | None]
    pause_reason: Mapped[str | None]
    resume_at: Mapped[datetime | None]

    __table_args__ = (CheckConstraint("cap > 0"), {"schema": "huey"})


class TenantRule(Base):
    """A tenant's share, cap and pause in a lane; without a row: weight 1, no cap."""

    __tablename__ = "tenant_rule"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    lane: Mapped[str] = mapped_column(ForeignKey("huey.lane.name"), primary_key=True)
    weight: Mapped[float] = mapped_column(server_default=text("1"))
    cap: Mapped[int | None]
    paused_at: Mapped[datetime | None]
    paused_by: Mapped[str | None]
    pause_reason: Mapped[str | None]
    resume_at: Mapped[datetime | None]

    __table_args__ = (CheckConstraint("weight > 0"), CheckConstraint("cap > 0"), {"schema": "huey"})


class Job(Base):
    """A queued instance of a task that has not ended."""

    __tablename__ = "job"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    task_id: Mapped[str]
    lane: Mapped[str] = mapped_column(ForeignKey("huey.lane.name"))
    priority: Mapped[float] = mapped_column(server_default=text("0"))
    task_name: Mapped[str]
    tenant_id: Mapped[UUID | None]
    correlation_id: Mapped[UUID | None]
    message: Mapped[bytes]
    state: Mapped[str]
    run_at: Mapped[datetime] = mapped_column(server_default=NOW)
    rank: Mapped[float] = mapped_column(server_default=text("0"))
    held: Mapped[bool] = mapped_column(server_default=sa.false())
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    deaths: Mapped[int] = mapped_column(server_default=text("0"))
    claim_token: Mapped[UUID | None]
    consumer_id: Mapped[UUID | None]
    tick_key: Mapped[str | None]
    unique_key: Mapped[str | None]
    letter_id: Mapped[UUID | None]
    claim_alone: Mapped[bool] = mapped_column(server_default=sa.false())
    claim_apart: Mapped[bool] = mapped_column(server_default=sa.false())
    claimed_alone: Mapped[bool] = mapped_column(server_default=sa.false())
    enqueued_at: Mapped[datetime] = mapped_column(server_default=NOW)
    claimed_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    unknown_since: Mapped[datetime | None]
    last_error: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("state in ('scheduled', 'waiting', 'running')"),
        CheckConstraint("(state = 'running') = (claim_token is not null)"),
        Index("job_task", "task_id", unique=True),
        Index("job_waiting", "lane", text("priority desc"), "rank", "id", postgresql_where=text(_CLAIMABLE)),
        Index(
            "job_share",
            "lane",
            text("(coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'::uuid))"),
            "rank",
            postgresql_where=text("state = 'waiting'"),
        ),
        Index("job_scheduled", "run_at", postgresql_where=text("state = 'scheduled'")),
        Index("job_running", "consumer_id", postgresql_where=text("state = 'running'")),
        Index("job_tick", "tick_key", unique=True, postgresql_where=text("tick_key is not null")),
        Index(
            "job_unique",
            "lane",
            "tenant_id",
            "unique_key",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("unique_key is not null"),
        ),
        {"schema": "huey"},
    )


class JobAttempt(Base):
    """History: one row per execution, in day partitions. `ended` says that the job ended with it."""

    __tablename__ = "job_attempt"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True))
    task_id: Mapped[str]
    task_name: Mapped[str]
    lane: Mapped[str]
    tenant_id: Mapped[UUID | None]
    correlation_id: Mapped[UUID | None]
    attempt: Mapped[int]
    outcome: Mapped[str]
    ended: Mapped[bool]
    worker: Mapped[str | None]
    consumer_id: Mapped[UUID | None]
    enqueued_at: Mapped[datetime]
    claimed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime] = mapped_column(server_default=NOW)
    wait_ms: Mapped[float | None]
    run_ms: Mapped[float | None]
    error_class: Mapped[str | None]
    error_message: Mapped[str | None]
    letter_id: Mapped[UUID | None]

    __table_args__ = (
        sa.PrimaryKeyConstraint("ended_at", "id"),
        CheckConstraint("outcome in ('done', 'errored', 'dead', 'cancelled', 'released', 'worker_lost')"),
        Index("job_attempt_task", "task_id"),
        Index("job_attempt_correlation", "correlation_id"),
        Index("job_attempt_tenant", "tenant_id", text("ended_at desc"), text("id desc")),
        Index(
            "job_attempt_outcome",
            "outcome",
            text("ended_at desc"),
            text("id desc"),
            postgresql_where=text("outcome <> 'done'"),
        ),
        {"schema": "huey", "postgresql_partition_by": "range (ended_at)"},
    )


class Result(Base):
    __tablename__ = "result"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[bytes]
    is_result: Mapped[bool]
    expires_at: Mapped[datetime] = mapped_column(server_default=text("(clock_timestamp() + '24:00:00'::interval)"))

    __table_args__ = (
        Index("result_expiry", "expires_at"),
        Index("result_other", "key", postgresql_where=text("not is_result")),
        {"schema": "huey"},
    )


class Counter(Base):
    __tablename__ = "counter"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(sa.BigInteger)
    time_window: Mapped[int | None] = mapped_column(sa.BigInteger)

    __table_args__ = ({"schema": "huey"},)


class ChordMember(Base):
    __tablename__ = "chord_member"

    chord_id: Mapped[str] = mapped_column(primary_key=True)
    idx: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = ({"schema": "huey"},)


class Consumer(Base):
    """An OS process that works on jobs. `holds_lock` false: only its heartbeat tells life from death."""

    __tablename__ = "consumer"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    worker_type: Mapped[str]
    worker_count: Mapped[int]
    lanes: Mapped[list[str]]
    version: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(server_default=NOW)
    heartbeat_at: Mapped[datetime] = mapped_column(server_default=NOW)
    holds_lock: Mapped[bool] = mapped_column(server_default=sa.true())
    idle: Mapped[bool] = mapped_column(server_default=sa.false())
    stopped_at: Mapped[datetime | None]

    __table_args__ = ({"schema": "huey"},)


class Tick(Base):
    """The last minute of each periodic task that has been looked at."""

    __tablename__ = "tick"

    task_name: Mapped[str] = mapped_column(primary_key=True)
    last_tick: Mapped[datetime]

    __table_args__ = ({"schema": "huey"},)


class CronPause(Base):
    """While a row is here, the minutes of this periodic task pass without a job."""

    __tablename__ = "cron_pause"

    task_name: Mapped[str] = mapped_column(primary_key=True)
    paused_at: Mapped[datetime] = mapped_column(server_default=NOW)
    paused_by: Mapped[str]
    pause_reason: Mapped[str]

    __table_args__ = ({"schema": "huey"},)
