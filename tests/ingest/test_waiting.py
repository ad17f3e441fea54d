"""Refunds whose sale does not come, or was removed when its time was over: said to somebody, and never lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from skeldir_huey import cli
from skeldir_huey.clock import utc_now
from skeldir_huey.db.engine import transaction
from skeldir_huey.ingest import retention
from skeldir_huey.ingest.tenants import create_tenant
from skeldir_huey.tasks.refused import retry_in
from skeldir_huey.tasks.waiting import refuse_overdue_daily
from tests.attribution.runner import make_version, run_window
from tests.cluster import Database
from tests.factories import make_event
from tests.ingest.test_adjustments import REFUND, SALE, run_import
from tests.tasks.conftest import huey, run_all
from tests.tasks.test_maintenance import KEPT_FROM

__all__ = ["huey", "run_all"]

RunAll = Callable[[], int]
NOW = utc_now()
TODAY = {"at": NOW.isoformat()}


@pytest.fixture
def tenant(database: Database, huey: Any) -> UUID:
    return create_tenant("acme")


def records(database: Database) -> list[tuple[Any, ...]]:
    return database.query("select remediation_status, error_field, error_message from dead_events order by created_at")


def pass_days(database: Database, days: int) -> None:
    values = (timedelta(days=days),)
    database.query("update waiting_adjustments set created_at = created_at - %s", values)


def ask(database: Database, tenant: UUID, **payload: str) -> None:
    """Ask for the retry of the only record as the console does, corrected on demand."""
    record = database.value("select id::text from dead_events")
    for name, value in payload.items():
        database.query("update dead_events set payload = jsonb_set(payload, %s, to_jsonb(%s::text))", ([name], value))
    database.query("update dead_events set remediation_status = 'in_progress'")
    with transaction(tenant) as connection:
        retry_in(connection, tenant, UUID(record))


def test_refund_without_sale_is_said_after_30_days_and_its_sale_still_takes_it(
    database: Database, tenant: UUID, tmp_path: Path, run_all: RunAll
) -> None:
    run_import(tmp_path, REFUND)
    refuse_overdue_daily()
    run_all()
    assert records(database) == [], "its sale may come"
    pass_days(database, 31)
    for _ in range(2):
        refuse_overdue_daily()
        run_all()
    ((status, field, message),) = records(database)
    assert (status, field) == ("pending", "order_id")
    assert message.startswith("no sale of the order 'o1' came within 30 days. If the sale is to come, import it")
    assert database.value("select count(*) from waiting_adjustments") == 1
    database.query("update dead_events set remediation_status = 'ignored'")
    refuse_overdue_daily()
    run_all()
    assert [row[0] for row in records(database)] == ["ignored"], "somebody has seen it"
    run_import(tmp_path, REFUND)
    assert (len(records(database)), database.value("select count(*) from waiting_adjustments")) == (1, 1)
    run_import(tmp_path, SALE)
    assert [row[0] for row in records(database)] == ["resolved"]
    assert database.value("select count(*) from attribution_events where kind = 'adjustment'") == 1


def test_overdue_refund_above_its_sale_is_refused_for_that_reason_then(
    database: Database, tenant: UUID, tmp_path: Path, run_all: RunAll
) -> None:
    run_import(tmp_path, REFUND | {"amount": "100.01"})
    pass_days(database, 31)
    refuse_overdue_daily()
    run_all()
    run_import(tmp_path, SALE)
    ((status, field, message),) = records(database)
    assert (status, field) == ("pending", "revenue") and "above what is left of the sale" in message


def test_retry_of_an_overdue_refund(database: Database, tenant: UUID, tmp_path: Path, run_all: RunAll) -> None:
    run_import(tmp_path, REFUND | {"order": "o9"})
    pass_days(database, 31)
    refuse_overdue_daily()
    run_all()
    ask(database, tenant)
    run_all()
    assert records(database) == [("pending", "order_id", "there is no sale of the order 'o9' yet: it waits")]
    ask(database, tenant, order_id="o1")
    run_all()
    assert database.query("select order_id from waiting_adjustments") == [("o1",)], "it waits for the right sale now"
    run_import(tmp_path, SALE)
    assert [row[0] for row in records(database)] == ["resolved"]
    assert database.value("select sum(revenue_cents) from attribution_events") == 0


def test_corrected_order_of_an_overdue_refund_adds_it(
    database: Database, tenant: UUID, tmp_path: Path, run_all: RunAll
) -> None:
    run_import(tmp_path, SALE, REFUND | {"order": "o9"})
    pass_days(database, 31)
    refuse_overdue_daily()
    run_all()
    ask(database, tenant, order_id="o1")
    run_all()
    assert [row[0] for row in records(database)] == ["resolved"]
    assert database.value("select count(*) from waiting_adjustments") == 0
    assert database.value("select sum(revenue_cents) from attribution_events") == 0


def test_refund_that_is_refused_again_after_a_correction_is_said_again(
    database: Database, tenant: UUID, tmp_path: Path, run_all: RunAll
) -> None:
    run_import(tmp_path, SALE, REFUND | {"currency": "EUR"})
    ask(database, tenant, order_id="o9")
    run_all()
    assert [row[0] for row in records(database)] == ["resolved"], "it waits for the sale of o9"
    pass_days(database, 31)
    refuse_overdue_daily()
    run_all()
    assert [row[:2] for row in records(database)] == [("pending", "order_id")]


def old_sale(database: Database, tenant: UUID, at: datetime) -> UUID:
    database.query("update tenants set created_at = now() - interval '2 years'")
    return make_event(database, tenant, order_id="o1", occurred_at=at)


def retain(tenant: UUID) -> None:
    retention.enforce(lambda: transaction(tenant))


def test_refund_of_a_sale_whose_allocations_were_removed_is_refused_at_once(
    database: Database, tenant: UUID, tmp_path: Path
) -> None:
    version = make_version(tenant, "linear", publish=True)
    sale = old_sale(database, tenant, KEPT_FROM - timedelta(days=1))
    run_window(tenant, version, NOW - timedelta(days=200), NOW)
    database.query("delete from attribution_dirty_ranges")
    retain(tenant)
    assert database.value("select count(*) from attribution_events") == 1, "kept for the lookback of what is kept"
    assert database.value("select count(*) from attribution_allocations") == 0
    run_import(tmp_path, REFUND | TODAY)
    path = tmp_path / "r.csv"
    path.write_text(f"at,type,sale,amount\n{NOW.isoformat()},refund,{sale},100.00\n")
    arguments = ["--map", "occurred_at=at,event_type=type,parent=sale", "--revenue", "amount", "--set", "currency=USD"]
    assert cli.main(["import", str(path), "--tenant", "acme", *arguments]) == 0
    found = records(database)
    assert [row[:2] for row in found] == [("pending", "order_id"), ("pending", "parent")]
    assert all("were removed when it was over, so there is nothing to split this like" in row[2] for row in found)
    assert database.value("select count(*) from attribution_events") == 1


def test_refund_of_an_old_sale_that_kept_its_allocations_is_added(
    database: Database, tenant: UUID, tmp_path: Path
) -> None:
    version = make_version(tenant, "linear", publish=True)
    old_sale(database, tenant, KEPT_FROM - timedelta(days=1))
    run_import(tmp_path, REFUND | TODAY | {"amount": "40.00"})
    run_window(tenant, version, NOW - timedelta(days=200), NOW + timedelta(days=1))
    database.query("delete from attribution_dirty_ranges")
    retain(tenant)
    run_import(tmp_path, REFUND | TODAY | {"amount": "60.00"})
    assert records(database) == []
    today = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    run_window(tenant, version, today, today + timedelta(days=1))
    assert database.value("select sum(allocated_revenue_cents) from attribution_allocations") == 0


def test_refund_of_a_removed_sale_is_said_with_the_day_before_which_sales_were_removed(
    database: Database, tenant: UUID, tmp_path: Path, run_all: RunAll
) -> None:
    version = make_version(tenant, "linear", publish=True)
    sale = old_sale(database, tenant, KEPT_FROM - timedelta(days=200))
    run_window(tenant, version, KEPT_FROM - timedelta(days=201), NOW)
    database.query("delete from attribution_dirty_ranges")
    retain(tenant)
    assert database.value("select count(*) from attribution_events") == 0
    before: Any = database.value("select events_removed_before from retention")
    run_import(tmp_path, REFUND | TODAY)
    pass_days(database, 31)
    refuse_overdue_daily()
    run_all()
    said = f"sales before {before:%Y-%m-%d} were removed when their time was over"
    ((_, field, message),) = records(database)
    assert field == "order_id" and said in message
    path = tmp_path / "r.csv"
    path.write_text(f"at,type,sale,amount\n{NOW.isoformat()},refund,{sale},100.00\n")
    arguments = ["--map", "occurred_at=at,event_type=type,parent=sale", "--revenue", "amount", "--set", "currency=USD"]
    assert cli.main(["import", str(path), "--tenant", "acme", *arguments]) == 0
    assert [row[1:] for row in records(database)][1] == ("parent", f"no sale {sale} of this tenant; {said}")
