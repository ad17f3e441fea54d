"""What an import commits while a run is at work is not forgotten: its range stays, and gets a run of its own."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from skeldir_huey.attribution.dirty import dirty_windows
from skeldir_huey.db import engine
from skeldir_huey.db.engine import transaction
from skeldir_huey.ingest.normalise import Event
from skeldir_huey.ingest.store import add_events
from tests.attribution.runner import allocations, make_version, run_window
from tests.cluster import Database
from tests.factories import DAY, make_event, make_tenant

ROOT = Path(__file__).parents[2]


def touch(tenant_id: UUID, visitor: UUID) -> None:
    event = Event(
        DAY + timedelta(minutes=5), "ad_click", "touch", visitor, visitor, None, "email", None, None, None, None,
        sha256(b"late").digest(),
    )  # fmt: skip
    with transaction(tenant_id, role="app_import") as connection:
        add_events(connection, tenant_id, [event], uuid4())


@pytest.mark.parametrize("moment", ["before_cursor_execute", "after_cursor_execute"])
def test_import_in_the_middle_of_a_run(database: Database, moment: str) -> None:
    tenant_id, visitor = make_tenant(database), uuid4()
    make_event(database, tenant_id, visitor=visitor, minutes=60, cents=100, channel="organic")
    version = make_version(tenant_id, "linear", publish=True)
    worker = engine.engine("worker")
    done: list[bool] = []

    def interrupt(*arguments: object) -> None:
        # Around the statement that reads the events and writes the allocations.
        if "insert into attribution_allocations" in str(arguments[2]) and not done:
            done.append(True)
            touch(tenant_id, visitor)

    sa.event.listen(worker, moment, interrupt)
    try:
        run_window(tenant_id, version, DAY, DAY + timedelta(days=40))
    finally:
        sa.event.remove(worker, moment, interrupt)
    assert done
    with transaction(tenant_id, read_only=True) as connection:
        (window,) = dirty_windows(connection, tenant_id)
    run_window(tenant_id, version, window.window_start, window.window_end)
    assert allocations(database, version) == [("email", 100)]
    assert database.value("select count(*) from attribution_dirty_ranges") == 0


def test_claims_and_payments_never_enter_the_split() -> None:
    files = list((ROOT / "skeldir_huey" / "attribution").rglob("*.sql"))
    assert len(files) > 50
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not any(name in text for name in ("platform_claims", "revenue_ledger", "exchange_rates")), path.name
