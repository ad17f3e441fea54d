"""A tenant whose oldest months are behind the boundary of retention."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.engine import Connection

from skeldir_huey.clock import utc_now
from skeldir_huey.db.engine import transaction
from tests.attribution.runner import make_version, run_window
from tests.cluster import Database
from tests.factories import make_event, make_tenant

VERSION = "linear@1.0.0"

MINUTES = 24 * 60


def month_of(at: datetime) -> datetime:
    return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


NOW = utc_now()

KEPT_FROM = month_of(NOW - timedelta(days=90))

MONTH_BEFORE = month_of(KEPT_FROM - timedelta(days=1))


def begin_for(tenant_id: UUID) -> Callable[[], AbstractContextManager[Connection]]:
    return lambda: transaction(tenant_id)


def sell(database: Database, tenant_id: UUID, at: datetime, cents: int = 1000, channels: str = "direct") -> UUID:
    """Add a sale with a touch of each channel before it."""
    visitor = uuid4()
    for hours, channel in enumerate(channels.split(), 1):
        before = at - timedelta(hours=hours)
        make_event(database, tenant_id, kind="touch", visitor=visitor, channel=channel, occurred_at=before)
    return make_event(database, tenant_id, visitor=visitor, cents=cents, occurred_at=at, order_id=str(uuid4()))


def refund(database: Database, tenant_id: UUID, sale: UUID, at: datetime, cents: int = -1000) -> UUID:
    return make_event(
        database, tenant_id, kind="adjustment", cents=cents, occurred_at=at, parent_event_id=sale, order_id="o"
    )


def count(database: Database, table: str, tenant_id: UUID, more: str = "true") -> int:
    return int(database.value(f"select count(*) from {table} where tenant_id = %s and {more}", [str(tenant_id)]))


def make_old_tenant(database: Database, name: str) -> UUID:
    tenant_id = make_tenant(database, name, created_at=NOW - timedelta(days=400))
    make_version(tenant_id, "linear", publish=True)
    return tenant_id


def run_all_days(tenant_id: UUID, start: datetime = KEPT_FROM - timedelta(days=200)) -> Any:
    return run_window(tenant_id, VERSION, start, NOW + timedelta(days=1))


class World:
    """A tenant with sales in the month before the boundary and after it, all allocated; and another one like it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.mine, self.theirs = make_old_tenant(database, "mine"), make_old_tenant(database, "theirs")
        self.refunded: dict[UUID, UUID] = {}
        for tenant in (self.mine, self.theirs):
            far = KEPT_FROM - timedelta(days=100)
            removed = sell(database, tenant, far, 900, "email direct")
            refund(database, tenant, removed, far + timedelta(days=2), -900)
            sell(database, tenant, MONTH_BEFORE + timedelta(hours=1), 500, "email")
            refunded = sell(database, tenant, MONTH_BEFORE + timedelta(hours=2), 700, "email direct")
            self.refunded[tenant] = refunded
            refund(database, tenant, refunded, KEPT_FROM + timedelta(hours=5), -200)
            sell(database, tenant, KEPT_FROM + timedelta(hours=2), 1100, "email direct organic")
            sell(database, tenant, NOW - timedelta(days=1), 1300, "referral")
            run_all_days(tenant)
            database.query("delete from attribution_dirty_ranges where tenant_id = %s", [str(tenant)])
