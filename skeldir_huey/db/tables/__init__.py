"""The one Python description of the tables: shapes only, no behaviour. Migrations make them, a test compares the two.

Row security, triggers, grants, views and storage parameters stay with the migrations.
"""

from skeldir_huey.db.tables.attribution import Allocation, Backfill, ModelVersion, Published, Run
from skeldir_huey.db.tables.base import Base
from skeldir_huey.db.tables.console import (
    AuditHead,
    ConsoleAttempt,
    ConsoleAudit,
    ConsoleGrant,
    ConsoleSession,
    ConsoleUser,
)
from skeldir_huey.db.tables.errors import BulkItem, BulkOperation, BulkShare, ErrorDelta, ErrorGroup, ErrorTotal
from skeldir_huey.db.tables.events import (
    Channel,
    DeadEvent,
    DirtyRange,
    Event,
    EventKind,
    IngestTotal,
    Tenant,
    WaitingAdjustment,
)
from skeldir_huey.db.tables.flow import Flow, FlowTotal, Lock
from skeldir_huey.db.tables.ledger import ExchangeRate, LedgerEntry, PlatformClaim, ReconciledOrder, Reconciliation
from skeldir_huey.db.tables.minutes import RUN_MINUTES, RUN_QUARTERS, RunDelta, RunMinute, RunQuarter
from skeldir_huey.db.tables.paths import ChannelReport, DirtyDays, PathCount
from skeldir_huey.db.tables.queue import (
    ChordMember,
    Consumer,
    Counter,
    CronPause,
    FailedJob,
    Job,
    JobAttempt,
    Lane,
    Result,
    TaskRule,
    TenantRule,
    Tick,
)
from skeldir_huey.db.tables.reports import (
    AllocationDay,
    AllocationMonth,
    MatviewRefresh,
    PiiFinding,
    ReportChange,
    Retention,
    RevenueDay,
    RevenueMonth,
)

__all__ = [
    "RUN_MINUTES",
    "RUN_QUARTERS",
    "Allocation",
    "AllocationDay",
    "AllocationMonth",
    "AuditHead",
    "Backfill",
    "Base",
    "BulkItem",
    "BulkOperation",
    "BulkShare",
    "Channel",
    "ChannelReport",
    "ChordMember",
    "ConsoleAttempt",
    "ConsoleAudit",
    "ConsoleGrant",
    "ConsoleSession",
    "ConsoleUser",
    "Consumer",
    "Counter",
    "CronPause",
    "DeadEvent",
    "DirtyDays",
    "DirtyRange",
    "ErrorDelta",
    "ErrorGroup",
    "ErrorTotal",
    "Event",
    "EventKind",
    "ExchangeRate",
    "FailedJob",
    "Flow",
    "FlowTotal",
    "IngestTotal",
    "Job",
    "JobAttempt",
    "Lane",
    "LedgerEntry",
    "Lock",
    "MatviewRefresh",
    "ModelVersion",
    "PathCount",
    "PiiFinding",
    "PlatformClaim",
    "Published",
    "ReconciledOrder",
    "Reconciliation",
    "ReportChange",
    "Result",
    "Retention",
    "RevenueDay",
    "RevenueMonth",
    "Run",
    "RunDelta",
    "RunMinute",
    "RunQuarter",
    "TaskRule",
    "Tenant",
    "TenantRule",
    "Tick",
    "WaitingAdjustment",
]
