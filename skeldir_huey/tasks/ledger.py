"""Reconciliation as jobs: of a window on request, and by night of yesterday and of what changed, for every tenant."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
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
    _say(found)
    return str(found.id)


def _day(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return str(kwargs.get("day"))


@tenant_task(name="skeldir.ledger.reconcile_night", lane="maintenance", unique=_day)
def reconcile_night(*, tenant_id: UUID, day: str) -> list[str]:
    """Reconcile a day, and again each earlier day whose orders changed since the last night.

    Args:
        day: such as 2025-06-01, UTC.

    Returns:
        the ids of the rows in reconciliation_runs, that of the day last.

    Raises:
        InputError: day is none.
    """
    try:
        start = datetime.combine(date.fromisoformat(day), time(), UTC)
    except (TypeError, ValueError):
        raise InputError("day", f"expected a day such as 2025-06-01, got {day!r}") from None
    job = current_job.get()
    with transaction() as connection:
        found = ledger.reconcile_night(
            connection, tenant_id, start, job.task_id if job else None, job.correlation_id if job else None
        )
    unmatched = [each.window_start.date().isoformat() for each in found[:-1] if not each.is_matched]
    if len(found) > 1:
        say = log.warning if unmatched else log.info
        say(
            "reconciled_again",
            window_count=len(found) - 1,
            unmatched_count=len(unmatched),
            first_unmatched=unmatched[0] if unmatched else None,
        )
    _say(found[-1])
    return [str(each.id) for each in found]


@periodic(crontab(minute="15", hour="2"), name="skeldir.ledger.reconcile_daily", lane="maintenance")
def reconcile_daily() -> None:
    """Ask for the reconciliation of yesterday (UTC) and of what changed, for each tenant."""
    yesterday = utc_now().date() - timedelta(days=1)
    for tenant in list_tenants():
        reconcile_night(tenant_id=tenant.id, day=yesterday.isoformat())


def _say(found: ledger.Reconciliation) -> None:
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
