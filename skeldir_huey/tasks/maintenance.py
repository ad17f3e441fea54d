"""Maintenance, every night: what may no longer be kept, and what should not have been stored."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from huey import crontab
from sqlalchemy.engine import Connection

from skeldir_huey.db import engine
from skeldir_huey.ingest import pii, retention
from skeldir_huey.ingest.tenants import list_tenants
from skeldir_huey.log import get_log
from skeldir_huey.queue import outdated
from skeldir_huey.queue.dead_letters import delete_settled
from skeldir_huey.tasks.base import periodic, tenant_task, transaction

log = get_log("maintenance")

KEEP_LETTERS_DAYS = 30


def _key(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return "nightly"


@tenant_task(name="skeldir.maintenance.scan_pii", lane="maintenance", unique=_key)
def scan_pii(*, tenant_id: UUID) -> list[dict[str, Any]]:
    """Look for keys of personal data in what is stored; a warning is logged where there are any.

    Returns:
        One row per source: source, scanned_count, finding_count, new_count.
    """
    with transaction() as connection:
        found = pii.scan(connection)
    for row in found:
        if row["finding_count"]:
            log.warning(
                "pii_found", source=row["source"], finding_count=row["finding_count"], new_count=row["new_count"]
            )
    return found


# Who holds a row is waited for 5 seconds, no longer; ten minutes later it is tried again.
@tenant_task(name="skeldir.maintenance.enforce_retention", lane="maintenance", unique=_key, retries=3, retry_delay=600)
def enforce_retention(*, tenant_id: UUID) -> dict[str, int]:
    """Freeze and remove the tenant's months that are old enough, and what else its time is over for, batch by batch.

    Returns:
        How many rows of each table were removed; of dead_events, how many payloads were taken away.
    """
    removed = retention.enforce(_begin)
    removed["worker_failed_jobs"] = delete_letters(_begin)
    log.info("retention_enforced", **removed)
    return removed


def delete_letters(begin: retention.Begin) -> int:
    """Delete dead letters that were resolved or abandoned more than 30 days ago, a batch per transaction."""
    deleted = 0
    while True:
        with begin() as connection:
            batch = delete_settled(connection, KEEP_LETTERS_DAYS)
        deleted += batch
        if not batch:
            return deleted


@periodic(crontab(minute="40", hour="3"), name="skeldir.maintenance.enforce_retention_daily", lane="maintenance")
def enforce_retention_daily() -> None:
    """Ask for the retention of each tenant."""
    for tenant in list_tenants():
        enforce_retention(tenant_id=tenant.id)


@periodic(
    crontab(minute="50", hour="3"),
    name="skeldir.maintenance.remove_outdated_daily",
    lane="maintenance",
    retries=3,
    retry_delay=600,
)
def remove_outdated_daily() -> None:
    """Remove what is kept of no single tenant, once its time is over."""
    log.info("outdated_removed", **remove_outdated())


def remove_outdated() -> dict[str, int]:
    """Do it now, batch by batch; returns how many rows of each part."""
    return outdated.remove(lambda: engine.transaction(None, role="app_rw"))


@periodic(crontab(minute="20", hour="4"), name="skeldir.maintenance.scan_pii_daily", lane="maintenance")
def scan_pii_daily() -> None:
    """Ask for the scan of each tenant; scan here what belongs to none."""
    for tenant in list_tenants():
        scan_pii(tenant_id=tenant.id)
    with engine.transaction(None, role="app_rw", read_only=True) as connection:
        count = pii.scan_unattributed(connection)
    if count:
        log.warning("pii_found", source="without tenant", finding_count=count)


def _begin() -> AbstractContextManager[Connection]:
    return transaction(commit=True)
