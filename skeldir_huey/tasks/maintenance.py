"""Maintenance of one tenant's data: what may no longer be kept, and what should not have been stored."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from skeldir_huey.ingest import pii
from skeldir_huey.log import get_log
from skeldir_huey.queue.dead_letters import delete_settled
from skeldir_huey.tasks.base import tenant_task, transaction

log = get_log("maintenance")

KEEP_LETTERS_DAYS = 30


@tenant_task(name="skeldir.maintenance.scan_pii", lane="maintenance")
def scan_pii(*, tenant_id: UUID) -> list[dict[str, Any]]:
    """Count stored payloads with keys of personal data; a warning is logged where there are any.

    Returns:
        One row per table: source, scanned_count, finding_count.
    """
    with transaction() as connection:
        found = pii.scan(connection)
    for row in found:
        if row["finding_count"]:
            log.warning("pii_found", source=row["source"], finding_count=row["finding_count"])
    return found


@tenant_task(name="skeldir.maintenance.enforce_retention", lane="maintenance")
def enforce_retention(*, tenant_id: UUID) -> dict[str, int]:
    """Delete dead letters that were resolved or abandoned more than 30 days ago.

    Returns:
        How many rows of each table were deleted.
    """
    deleted = 0
    while True:
        with transaction(commit=True) as connection:
            batch = delete_settled(connection, KEEP_LETTERS_DAYS)
        deleted += batch
        if not batch:
            break
    log.info("retention_enforced", worker_failed_jobs=deleted)
    return {"worker_failed_jobs": deleted}
