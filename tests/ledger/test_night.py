"""By night: yesterday is reconciled, and again each older day whose truth has changed since, in two statements."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from skeldir_huey.clock import utc_now
from skeldir_huey.db.engine import engine, transaction
from skeldir_huey.errors import InputError
from skeldir_huey.ledger.reconcile import reconcile, reconcile_night
from skeldir_huey.tasks import ledger as tasks
from tests.attribution.runner import make_version, run_window
from tests.cluster import Database
from tests.factories import make_event, make_tenant
from tests.ledger.test_ledger import PAYMENT, claim, pay, tenant

__all__ = ["tenant"]

YESTERDAY = utc_now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
RESULTS = (
    "select window_start, order_count, unallocated_count + under_allocated_count + over_allocated_count, reason"
    " from reconciliation_runs where tenant_id = %s and window_start < %s and reason <> 'asked' order by created_at, id"
)


def back(days: int) -> datetime:
    """Noon, so many days before yesterday."""
    return YESTERDAY - timedelta(days=days) + timedelta(hours=12)


def start(days: int) -> datetime:
    return back(days) - timedelta(hours=12)


def paid(order: str, days: int, **more: str) -> dict[str, str]:
    return PAYMENT | {"transaction_id": f"t-{order}", "order_id": order, "occurred_at": back(days).isoformat()} | more


def claimed(order: str, days: int) -> dict[str, Any]:
    return claim(order, "50.00") | {"occurred_at": back(days).isoformat()}


def night(tenant: UUID) -> list[datetime]:
    """Reconcile by night; returns the days that were compared again."""
    with transaction(tenant) as connection:
        found = reconcile_night(connection, tenant, YESTERDAY)
    assert [each.reason for each in found] == ["changed"] * (len(found) - 1) + ["nightly"]
    assert (found[-1].window_start, found[-1].window_end) == (YESTERDAY, YESTERDAY + timedelta(days=1))
    return [each.window_start for each in found[:-1]]


def pass_time(database: Database) -> None:
    """Let the last night be so long ago that what was stored until now is older, and what comes is newer."""
    database.query(
        "update reconciliation_runs set created_at = clock_timestamp() + interval '1 hour' where reason = 'nightly'"
    )


def allocate(tenant: UUID, version: str, first: int, last: int) -> None:
    run_window(tenant, version, start(first), start(last) + timedelta(days=1))


@pytest.fixture
def sales(database: Database, tenant: UUID, tmp_path: Path) -> dict[str, UUID]:
    """Sales of ten days, o10 to o1, allocated and paid for, and reconciled by a night."""
    made = {
        f"o{days}": make_event(database, tenant, order_id=f"o{days}", occurred_at=back(days))
        for days in range(10, 0, -1)
    }
    allocate(tenant, make_version(tenant, "linear", publish=True), 10, 1)
    pay(tmp_path, *(paid(order, int(order[1:])) for order in made))
    return made


def test_each_way_in_which_an_old_day_changes(
    database: Database, tenant: UUID, sales: dict[str, UUID], tmp_path: Path
) -> None:
    assert night(tenant) == [start(days) for days in range(10, 0, -1)], "nobody ever reconciled these"
    assert database.query(RESULTS, [str(tenant), YESTERDAY])[0] == (start(10), 1, 0, "changed")
    pass_time(database)
    assert night(tenant) == []
    pass_time(database)
    other = make_tenant(database, "other")
    make_event(database, other, order_id="o5", occurred_at=back(5))
    with transaction(tenant) as connection:
        reconcile(connection, tenant, start(7), start(6))  # somebody's own look is no night
    later = "update reconciliation_runs set created_at = clock_timestamp() + interval '9 hours' where reason = 'asked'"
    database.query(later)

    pay(tmp_path, paid("o10", 0, state="refunded", amount="1.00"))  # money of a sale of ten days ago went back
    pay(tmp_path, claimed("o9", 1), claims=True)
    pay(tmp_path, paid("o8", 4, transaction_id="earlier", amount="2.00"))  # of a transaction of its own
    make_event(
        database, tenant, kind="adjustment", cents=-100, occurred_at=back(1), parent_event_id=str(sales["o7"]),
        order_id="something else",
    )  # fmt: skip
    make_event(database, tenant, occurred_at=back(6), cents=5)  # a sale without an order
    make_event(database, tenant, order_id="o5b", occurred_at=back(5))
    pay(tmp_path, claimed("o3", 4), claims=True)  # first seen a day earlier than before: it leaves its day
    for first, last in ((1, 1), (6, 6), (5, 5)):
        allocate(tenant, "linear@1.0.0", first, last)
    assert night(tenant) == [start(days) for days in (10, 9, 8, 7, 6, 5, 4, 3)]
    latest = {row[0]: row[1:3] for row in database.query(RESULTS, [str(tenant), YESTERDAY])}
    assert latest == {
        start(10): (1, 1), start(9): (1, 0), start(8): (1, 1), start(7): (1, 1), start(6): (1, 0), start(5): (2, 1),
        start(4): (2, 0), start(3): (0, 0), start(2): (1, 0), start(1): (1, 0),
    }  # fmt: skip
    pass_time(database)
    assert night(tenant) == []


def test_a_run_that_came_late_is_seen_and_one_that_wrote_nothing_is_not(
    database: Database, tenant: UUID, sales: dict[str, UUID], tmp_path: Path
) -> None:
    make_event(database, tenant, order_id="late", occurred_at=back(5))
    pay(tmp_path, paid("late", 5))
    night(tenant)
    pass_time(database)
    assert database.query(RESULTS, [str(tenant), YESTERDAY])[5][1:3] == (2, 1), "not allocated yet"
    run_window(tenant, "linear@1.0.0", start(9), start(1))  # as a late touch asks for
    assert night(tenant) == [start(5)]
    assert database.query(RESULTS, [str(tenant), YESTERDAY])[-1][1:3] == (2, 0)


def test_days_behind_the_boundary_are_left_alone(
    database: Database, tenant: UUID, sales: dict[str, UUID], tmp_path: Path
) -> None:
    database.query("insert into retention (tenant_id, removed_before) values (%s, %s)", [str(tenant), start(3)])
    assert night(tenant) == [start(3), start(2), start(1)]


def test_statements_do_not_grow_with_the_days(
    database: Database, tenant: UUID, sales: dict[str, UUID], tmp_path: Path
) -> None:
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    sa.event.listen(engine("worker"), "before_cursor_execute", note)
    try:
        assert len(night(tenant)) == 10
        many = len(seen)
        pass_time(database)
        pay(tmp_path, paid("o10", 0, state="refunded", amount="1.00"))
        del seen[:]
        assert len(night(tenant)) == 1
    finally:
        sa.event.remove(engine("worker"), "before_cursor_execute", note)
    assert len(seen) == many


def test_the_task_says_what_it_found(
    database: Database, tenant: UUID, sales: dict[str, UUID], run_all: Callable[[], int]
) -> None:
    tasks.reconcile_daily()
    tasks.reconcile_daily()
    assert run_all() == 3, "asked twice, and still one job of the day"
    kinds = (
        "select reason, count(*), count(task_id), count(correlation_id) from reconciliation_runs group by 1 order by 1"
    )
    assert database.query(kinds) == [("changed", 10, 10, 10), ("nightly", 1, 1, 1)]
    newest = "select window_start from reconciliation_runs order by created_at desc, id desc limit 1"
    assert database.value(newest) == YESTERDAY, "which is what the tenant's page and the view show"
    with pytest.raises(InputError, match="day: expected a day such as 2025-06-01, got '2025-06'"):
        tasks.reconcile_night.call_local(tenant_id=tenant, day="2025-06")
