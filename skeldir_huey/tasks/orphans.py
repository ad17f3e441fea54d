"""No run stays under way after its job is gone, however it went: the sweep for what no signal tells."""

from __future__ import annotations

from huey import crontab

from skeldir_huey.attribution import orphans
from skeldir_huey.db import engine
from skeldir_huey.log import get_log
from skeldir_huey.tasks.base import periodic

log = get_log("attribution")


@periodic(crontab(), name="skeldir.attribution.end_orphans", lane="attribution")
def end_orphans() -> None:
    """Mark runs and backfills failed whose job is nowhere in the queue.

    A job that ends, however it ends, takes its run along in the same transaction; this is for jobs that were flushed.
    """
    with engine.transaction(None, role="app_rw") as connection:
        tenants = orphans.tenants_under_way(connection)
    for tenant_id in tenants:
        with engine.transaction(tenant_id) as connection:
            failed, stopped = orphans.fail_orphans(connection, tenant_id)
        for run in failed:
            log.warning("orphaned_run_failed", tenant_id=str(tenant_id), run_id=str(run.id), reason=run.error_message)
        for backfill_id in stopped:
            log.warning("orphaned_backfill_failed", tenant_id=str(tenant_id), backfill_id=str(backfill_id))
