"""A task of tenant A that forgets every filter sees A's events only, on the worker's own pool. With both mutants."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from skeldir_huey.db import engine
from skeldir_huey.queue.executor import SkeldirHuey
from tests import work
from tests.cluster import Database
from tests.factories import make_event, make_tenant

RunAll = Callable[[], int]


@pytest.fixture
def tenants(database: Database, huey: SkeldirHuey) -> tuple[UUID, UUID]:
    """Tenant A with 3 events, tenant B with 2."""
    a, b = make_tenant(database, "a-tenant"), make_tenant(database, "b-tenant")
    for tenant, count in ((a, 3), (b, 2)):
        for _ in range(count):
            make_event(database, tenant)
    return a, b


def check_wall(database: Database, tenants: tuple[UUID, UUID], run_all: RunAll) -> None:
    a, b = tenants

    def schedules_like_a_producer() -> None:
        with engine.transaction(b) as connection:
            connection.exec_driver_sql("select count(*) from attribution_events")

    rounds = [
        lambda: None,
        schedules_like_a_producer,
        lambda: work.count_then_fail(tenant_id=b),  # an exception inside the other tenant's transaction
        lambda: work.slow_sql(tenant_id=b),  # a timeout in it
        lambda: work.swallowed_abort(tenant_id=b),
    ]
    for disturb in rounds:
        disturb()
        run_all()
        assert work.count_on_the_pool.call_local() == 0, "a pooled connection still has a tenant"
        seen_a, pool_after_a = work.count_events(tenant_id=a), work.count_on_the_pool()
        seen_b, pool_after_b = work.count_events(tenant_id=b), work.count_on_the_pool()
        run_all()
        assert (seen_a(), seen_b()) == (3, 2)
        assert (pool_after_a(), pool_after_b()) == (0, 0), "a pooled connection still has a tenant"
    # The owner is held by FORCE alone.
    assert database.value("select count(*) from attribution_events", user="skeldir_owner") == 0


def test_wall_holds(database: Database, tenants: tuple[UUID, UUID], run_all: RunAll) -> None:
    check_wall(database, tenants, run_all)


def test_wall_holds_after_a_rescue(
    database: Database, huey: SkeldirHuey, tenants: tuple[UUID, UUID], run_all: RunAll
) -> None:
    a, b = tenants
    seen = work.count_events(tenant_id=a)
    lost = huey.dequeue()
    assert lost is not None
    huey.storage.run(work.release, {"ids": [lost.claim.id], "tokens": [lost.claim.token]})
    work.count_events(tenant_id=b)
    run_all()
    assert seen() == 3


def test_mutant_no_force(database: Database, tenants: tuple[UUID, UUID], run_all: RunAll) -> None:
    database.query("alter table attribution_events no force row level security")
    with pytest.raises(AssertionError):
        check_wall(database, tenants, run_all)


def test_mutant_set_for_set_local(
    database: Database, tenants: tuple[UUID, UUID], run_all: RunAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SET_TENANT", engine.SET_TENANT.replace(", true)", ", false)"))
    with pytest.raises(AssertionError, match="still has a tenant"):
        check_wall(database, tenants, run_all)
