"""Imports while retention works: who comes second sees what the first one did, and nothing falls between the two."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.engine import Connection

from skeldir_huey.clock import utc_now
from skeldir_huey.db.engine import transaction
from skeldir_huey.ingest import importer, retention
from skeldir_huey.ingest.adjustments import Adjustment, add_adjustments
from skeldir_huey.ingest.options import Options
from skeldir_huey.ingest.tenants import find_tenant
from tests.attribution.runner import make_version, run_window
from tests.cluster import Database
from tests.ingest.test_adjustments import REFUND, run_import
from tests.ingest.test_waiting import NOW, TODAY, RunAll, ask, huey, old_sale, records, run_all, tenant
from tests.tasks.test_maintenance import KEPT_FROM
from tests.waiting import until

__all__ = ["huey", "run_all", "tenant"]

ALLOCATIONS = "select count(*) from attribution_allocations"
WAITING = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
BEHIND = KEPT_FROM - timedelta(days=1)


def make_frozen(database: Database, tenant: UUID) -> UUID:
    """A sale of two versions whose month is behind the boundary, and whose allocations are still there."""
    sale = old_sale(database, tenant, BEHIND)
    for name in ("linear", "first_touch"):
        version = make_version(tenant, name, publish=name == "linear")
        run_window(tenant, version, NOW - timedelta(days=200), NOW)
    database.query("delete from attribution_dirty_ranges")
    with transaction(tenant) as connection:
        connection.exec_driver_sql("select app.advance_retention(90)")
    assert database.value(ALLOCATIONS) == 2
    return sale


def refund(connection: Connection, tenant: UUID, sale: UUID) -> Any:
    back = Adjustment("x", 1, None, sale, utc_now(), "refund", -10_000, "USD", uuid4().bytes)
    return add_adjustments(connection, tenant, [back], uuid4())


def importing(tenant: UUID) -> AbstractContextManager[Connection]:
    return transaction(tenant, role="app_import")


def test_allocations_stay_when_a_refund_of_their_sale_is_being_added(database: Database, tenant: UUID) -> None:
    sale = make_frozen(database, tenant)
    with ThreadPoolExecutor(1) as pool:
        with importing(tenant) as connection:
            assert refund(connection, tenant, sale).added_count == 1
            removal = pool.submit(retention.enforce, lambda: transaction(tenant))
            until(lambda: removal.done() or database.value(WAITING) == 1, 10)
        assert sum(removal.result(30).values()) == 0
    today = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    for version in ("linear@1.0.0", "first_touch@1.0.0"):
        run_window(tenant, version, today, today + timedelta(days=2))
    net = "select count(*), sum(allocated_revenue_cents) from attribution_allocations group by model_version"
    assert database.query(net) == [(2, 0), (2, 0)], "each version has the sale and its refund"


def test_refund_is_refused_when_the_allocations_of_its_sale_are_being_removed(database: Database, tenant: UUID) -> None:
    sale = make_frozen(database, tenant)

    def add() -> Any:
        with importing(tenant) as connection:
            return refund(connection, tenant, sale)

    with ThreadPoolExecutor(1) as pool:
        with transaction(tenant) as connection:
            connection.exec_driver_sql("select app.remove_expired('attribution_allocations', 90, null, 1)")
            adding = pool.submit(add)
            until(lambda: adding.done() or database.value(WAITING) == 1, 10)
        assert adding.result(30).refused_count == 1
    assert database.value(ALLOCATIONS) == 0, (
        "of all versions in one batch, however small: a sale has all of them, or none"
    )
    assert [row[:2] for row in records(database)] == [("pending", "parent")]


def test_boundary_that_moves_while_a_file_is_read_holds_for_the_rest_of_it(
    database: Database, tenant: UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.query("update tenants set created_at = now() - interval '2 years'")
    make_version(tenant, "linear", publish=True)
    path = tmp_path / "old.jsonl"
    rows = [{"visitor": f"v{n}", "occurred_at": BEHIND.isoformat(), "channel": "email"} for n in range(2)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(importer, "BATCH_ROWS", 1)

    def move(size: int) -> None:
        database.query("delete from attribution_dirty_ranges")  # as its run does
        with transaction(tenant) as connection:
            connection.exec_driver_sql("select app.advance_retention(90)")

    options = Options({"visitor": "visitor", "occurred_at": "occurred_at", "channel": "channel"})
    with importer.open_source(path, options) as source:
        report = importer.import_rows(source.rows, path.name, find_tenant("acme"), options, move)
    assert (report.touch_count, report.refused_count) == (1, 1)
    assert report.first_refused == (
        f"line 2: occurred_at: is before {KEPT_FROM.isoformat()}: older events are no longer kept"
    )


def test_retry_adds_nothing_behind_the_boundary(
    database: Database, tenant: UUID, tmp_path: Path, run_all: RunAll
) -> None:
    make_frozen(database, tenant)
    old = {"at": BEHIND.isoformat(), "order": "other", "amount": "1.00"}
    run_import(tmp_path, REFUND | old)
    ((status, field, message),) = records(database)
    assert (status, field) == ("pending", "at") and "older events are no longer kept" in message
    ask(database, tenant, order="o1")
    run_all()
    assert records(database) == [(status, field, message)]
    ask(database, tenant, at=TODAY["at"])
    run_all()
    assert records(database)[0][0] == "resolved"


def test_a_refund_that_waited_until_its_day_was_removed_is_refused_then(
    database: Database, tenant: UUID, tmp_path: Path
) -> None:
    run_import(tmp_path, REFUND | {"at": BEHIND.isoformat(), "order": "late"})
    assert database.value("select count(*) from waiting_adjustments") == 1
    make_frozen(database, tenant)
    sale = {"who": "u", "channel": "email", "type": "purchase", "currency": "USD", "amount": "100.00"}
    run_import(tmp_path, sale | {"order": "late"} | TODAY)
    assert [row[:2] for row in records(database)] == [("pending", "occurred_at")]
