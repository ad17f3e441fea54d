"""Refunds that wait for a sale which does not come: nobody would look for them, so they become refused records."""

from __future__ import annotations

import uuid
from typing import Any
from uuid import UUID

from huey import crontab

from skeldir_huey.db.engine import enter
from skeldir_huey.ingest.adjustments import refuse_overdue
from skeldir_huey.ingest.tenants import list_tenants
from skeldir_huey.log import get_log
from skeldir_huey.queue.jobs import current_job
from skeldir_huey.tasks.base import periodic, tenant_task, transaction

log = get_log("ingest")


def _of_tenant(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return "overdue"


@tenant_task(name="skeldir.ingest.refuse_overdue", lane="maintenance", unique=_of_tenant)
def refuse_overdue_adjustments(*, tenant_id: UUID) -> int:
    """Keep a refused record of each refund that has waited for its sale for 30 days; return how many are new."""
    job = current_job.get()
    with transaction() as connection:
        enter(connection, tenant_id, "app_import")
        count = refuse_overdue(connection, tenant_id, (job and job.correlation_id) or uuid.uuid4())
    if count:
        log.warning("adjustments_overdue", overdue_count=count)
    return count


@periodic(crontab(minute="50", hour="2"), name="skeldir.ingest.refuse_overdue_daily", lane="maintenance")
def refuse_overdue_daily() -> None:
    """Ask, each night, for the refunds of each tenant that have waited too long."""
    for tenant in list_tenants():
        refuse_overdue_adjustments(tenant_id=tenant.id)
