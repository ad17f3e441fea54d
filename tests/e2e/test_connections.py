"""How many sessions a consumer has: two per process, and one per worker that is busy in a transaction."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests import work
from tests.cluster import Database
from tests.e2e.conftest import StartConsumer
from tests.e2e.test_deaths import closed_gate, effects
from tests.factories import make_tenant
from tests.waiting import until

WORKERS = 3
# Sessions by consumer; the scheduler of process workers is a process without a consumer row.
SESSIONS = """
select max(n) from (
  select count(*) as n from pg_stat_activity
   where application_name like 'skeldir:%%' and datname = current_database() group by application_name) s
"""
WAITING = "select count(*) from pg_locks where locktype = 'advisory' and objid = %s and not granted"


@pytest.mark.parametrize(("worker_type", "busy"), [("thread", WORKERS), ("process", 1)])
def test_an_idle_process_has_two_and_each_busy_worker_one(
    database: Database, start_consumer: StartConsumer, worker_type: str, busy: int
) -> None:
    """Without `-n` each minute's jobs would come between."""
    tenant: UUID = make_tenant(database, "alpha")
    start_consumer("-w", str(WORKERS), "-k", worker_type, "-n")
    with closed_gate(database):
        for number in range(WORKERS):
            work.gated_effect(f"{number}", tenant_id=tenant)
        until(lambda: database.value(WAITING, (work.GATE,)) == WORKERS, 30)
        until(lambda: database.value(SESSIONS) == 2 + busy, 30, lambda: str(database.value(SESSIONS)))
    until(lambda: effects(database) == WORKERS, 30)
    work.huey.storage.close()
    until(lambda: database.value(SESSIONS) == 2, 30, lambda: str(database.value(SESSIONS)))
    work.effect("the next", tenant_id=tenant)
    until(lambda: effects(database) == WORKERS + 1, 30)
