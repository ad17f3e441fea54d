"""Reconciliation as jobs: of a window on request, and of yesterday for every tenant."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from huey import crontab

from skeldir_huey.clock import parse_instant, utc_now
from skeldir_huey.errors import InputError
from skeldir_huey.ingest.tenants import list_tenants
from skeldir_huey.ledger import reconcile as ledger
from skeldir_huey.log import get_log
from skeldir_huey.queue.jobs import current_job
from skeldir_huey.tasks.base import periodic, tenant_task, transaction

log = get_log("ledger")


def _key(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return "/".join(str(kwargs.get(name)) for name in ("window_start", "window_end"))


@tenant_task(name="skeldir.ledger.reconcile", lane="maintenance", unique=_key)
def reconcile(*, tenant_id: UUID, window_start: str, window_end: str) -> str:
    """Compare claims, payments and allocations of a window; a warning is logged when they do not match.

    Args:
        window_start, window_end: ISO-8601 with a zone, half-open.

    Returns:
        the id of the row in reconciliation_runs.

    Raises:
        InputError: an argument is wrong.
    """
    start, end = parse_instant(window_start, "window_start"), parse_instant(window_end, "window_end")
    if start >= end:
        raise InputError("window_end", "must be after window_start")
    job = current_job.get()
    with transaction() as connection:
        found = ledger.reconcile(
            connection, tenant_id, start, end, job.task_id if job else None, job.correlation_id if job else None
        )
    say = log.info if found.is_matched else log.warning
    say(
        "reconciled",
        reconciliation_id=str(found.id),
        order_count=found.order_count,
        ghost_count=found.ghost_count,
        unallocated_count=found.unallocated_count,
        under_allocated_count=found.under_allocated_count,
        over_allocated_count=found.over_allocated_count,
    )
    return str(found.id)


@periodic(crontab(minute="15", hour="2"), name="skeldir.ledger.reconcile_daily", lane="maintenance")
def reconcile_daily() -> None:
    """Ask for the reconciliation of yesterday (UTC), for each tenant."""
    end = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    start = end - timedelta(days=1)
    for tenant in list_tenants():
        reconcile(tenant_id=tenant.id, window_start=start.isoformat(), window_end=end.isoformat())
