"""The demo of `make run`: its data, and one job that really fails."""

from __future__ import annotations

from datetime import timedelta

from skeldir_huey import demo_data
from skeldir_huey.clock import utc_now
from skeldir_huey.db.embedded import Say
from skeldir_huey.db.engine import rows, transaction
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.ingest.tenants import list_tenants
from skeldir_huey.queue.instance import huey
from skeldir_huey.tasks.demo import NAME, import_rates


def seed(tell: Say) -> None:
    """Add what is missing of the demo's data, and ask for the job that fails if it was never asked for."""
    demo_data.seed(tell)
    names = {tenant.name: tenant.id for tenant in list_tenants()}
    tenant_id = names[demo_data.SHOPS[0].name]
    with transaction(tenant_id) as connection:
        (row,) = rows(connection, sql("commands", "demo_asked"), {"task_name": NAME})
        if not row["asked"]:
            yesterday = utc_now().date() - timedelta(days=1)
            huey.enqueue_in(connection, import_rates.s(yesterday.isoformat(), tenant_id=tenant_id))
            tell("demo: asked for exchange rates that are not there yet; that job fails, its replay will not")
