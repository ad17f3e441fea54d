"""Helpers of the attribution tests: make versions and runs by the domain's own functions, read rows back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from skeldir_huey.attribution import runs, store
from skeldir_huey.attribution.recompute import recompute, recompute_together
from skeldir_huey.attribution.types import Run
from skeldir_huey.db.engine import transaction
from tests.cluster import Database
from tests.factories import DAY

CHANNELS = ["direct", "email", "google_search_paid"]
NEXT_DAY = DAY + timedelta(days=1)


def make_version(tenant_id: UUID, name: str, version: str = "1.0.0", *, publish: bool = False, **params: Any) -> str:
    """Make a version as app_user, publish it on demand, return its name@version."""
    with transaction(tenant_id) as connection:
        made = store.create_model_version(connection, tenant_id, name, version, params).model_version
        if publish:
            store.publish(connection, tenant_id, made)
    return made


def run_window(
    tenant_id: UUID,
    model_version: str,
    start: datetime = DAY,
    end: datetime = NEXT_DAY,
    correlation_id: UUID | None = None,
) -> Run:
    """Execute a run once, as its job does: running is committed first, the rest is one transaction."""
    identity = runs.identify(tenant_id, start, end, model_version)
    with transaction(tenant_id) as connection:
        run = runs.start(connection, identity, str(uuid4()), correlation_id)
    with transaction(tenant_id) as connection:
        return recompute(connection, tenant_id, run.id)


def allocations(database: Database, model_version: str) -> list[tuple[str, int]]:
    """Return (channel, cents) of all tenants, by event time and channel."""
    return database.query(
        "select channel_code, allocated_revenue_cents from attribution_allocations where model_version = %s"
        " order by converted_at, event_id, channel_code",
        (model_version,),
    )


def physical(database: Database) -> list[tuple[Any, ...]]:
    """Return where each allocation lies and which transactions wrote or locked it: any write changes one of them."""
    return database.query("select ctid::text, xmin::text, xmax::text from attribution_allocations order by ctid")


def run_windows_together(
    tenant_id: UUID, model_versions: list[str], start: datetime = DAY, end: datetime = NEXT_DAY
) -> list[Run]:
    """Execute runs of several versions over one window in one pass."""
    with transaction(tenant_id) as connection:
        asked = [
            runs.start(connection, runs.identify(tenant_id, start, end, version), str(uuid4()), None).id
            for version in model_versions
        ]
    with transaction(tenant_id) as connection:
        return recompute_together(connection, tenant_id, asked)
