"""The one Python description of the tables: shapes only, no behaviour. Migrations make them, a test compares the two.

Row security, triggers, grants, views and storage parameters stay with the migrations.
"""

from skeldir_huey.db.tables.attribution import Allocation, Backfill, ModelVersion, Published, Run
from skeldir_huey.db.tables.base import Base
from skeldir_huey.db.tables.console import ConsoleAudit, ConsoleGrant, ConsoleUser
from skeldir_huey.db.tables.events import Channel, DeadEvent, DirtyRange, Event, EventKind, Tenant, WaitingAdjustment
from skeldir_huey.db.tables.flow import Flow, FlowTotal, Lock
from skeldir_huey.db.tables.ledger import LedgerEntry, PlatformClaim, ReconciledOrder, Reconciliation
from skeldir_huey.db.tables.paths import ChannelReport, DirtyDays, PathCount
from skeldir_huey.db.tables.queue import (
    ChordMember,
    Consumer,
    Counter,
    FailedJob,
    Job,
    JobAttempt,
    Lane,
    Result,
    TaskRule,
    TenantRule,
    Tick,
)

__all__ = [
    "Allocation",
    "Backfill",
    "Base",
    "Channel",
    "ChannelReport",
    "ChordMember",
    "ConsoleAudit",
    "ConsoleGrant",
    "ConsoleUser",
    "Consumer",
    "Counter",
    "DeadEvent",
    "DirtyDays",
    "DirtyRange",
    "Event",
    "EventKind",
    "FailedJob",
    "Flow",
    "FlowTotal",
    "Job",
    "JobAttempt",
    "Lane",
    "LedgerEntry",
    "Lock",
    "ModelVersion",
    "PathCount",
    "PlatformClaim",
    "Published",
    "ReconciledOrder",
    "Reconciliation",
    "Result",
    "Run",
    "TaskRule",
    "Tenant",
    "TenantRule",
    "Tick",
    "WaitingAdjustment",
]
