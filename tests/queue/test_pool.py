"""Connections: few of them, never shared with a child, and never with another tenant's setting on them."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
import sqlalchemy as sa

from skeldir_huey.db import engine, urls
from skeldir_huey.queue.executor import SkeldirHuey
from tests import work
from tests.cluster import Database
from tests.factories import make_event, make_tenant
from tests.waiting import until

RunAll = Callable[[], int]
THREADS, TRANSACTIONS = 16, 4_000


@pytest.fixture
def tenants(database: Database) -> dict[UUID, int]:
    """Tenants, and how many events each has."""
    made = {make_tenant(database, f"tenant-{n}"): n for n in range(1, 5)}
    for tenant, count in made.items():
        for _ in range(count):
            make_event(database, tenant)
    return made


@pytest.fixture
def pool_of_2(database: Database) -> Iterator[None]:
    engine.use_engine("worker", sa.create_engine(urls.url_of("worker"), pool_size=2, max_overflow=0))
    yield
    engine.dispose()


def ask(tenants: dict[UUID, int]) -> Counter[bool]:
    """Ask as random tenants, or as nobody, from many threads; count right and wrong answers."""

    def one_thread(seed: int) -> Counter[bool]:
        rng = random.Random(seed)
        seen: Counter[bool] = Counter()
        for _ in range(TRANSACTIONS // THREADS):
            tenant = rng.choice([*tenants, None])
            try:
                with engine.transaction(tenant) as connection:
                    count = connection.exec_driver_sql("select count(*) from attribution_events").scalar_one()
                    seen[count == (tenants[tenant] if tenant else 0)] += 1
                    if rng.random() < 0.1:
                        raise ZeroDivisionError  # a transaction that is rolled back leaves its connection, too
            except ZeroDivisionError:
                pass
        return seen

    with ThreadPoolExecutor(THREADS) as threads:
        return sum(threads.map(one_thread, range(THREADS)), Counter())


def test_no_transaction_sees_another_tenant(tenants: dict[UUID, int], pool_of_2: None) -> None:
    assert ask(tenants) == {True: TRANSACTIONS}


def test_mutant_session_setting_is_found(
    tenants: dict[UUID, int], pool_of_2: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With SET for SET LOCAL, and nobody setting it anew for a transaction without tenant."""
    monkeypatch.setattr(engine, "SET_TENANT", engine.SET_TENANT.replace(", true)", ", false)"))
    real = engine.enter
    monkeypatch.setattr(engine, "enter", lambda c, tenant, role=None: real(c, tenant, role) if tenant else None)
    assert ask(tenants)[False] > 0


def sessions(database: Database) -> int:
    return int(
        database.value(
            "select count(*) from pg_stat_activity where usename = 'app_user' and datname = current_database()"
        )
    )


def test_threads_leave_no_connection_behind(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    """Row 28: the queue's connections belong to the process, not to its threads."""
    for _ in range(30):
        thread = threading.Thread(target=lambda: work.add(1, 2))
        thread.start()
        thread.join()
    assert sessions(database) == 1
    assert run_all() == 30
    assert sessions(database) <= 3, "one line, one for settlements, one for the pool"


def test_a_forked_child_opens_its_own_connection(database: Database, huey: SkeldirHuey) -> None:
    """Row 28: two processes on one socket would read each other's answers."""
    work.add(1, 2)
    mine = huey.storage.run("select pg_backend_pid() as pid")
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            theirs = huey.storage.run("select pg_backend_pid() as pid")
            os.write(into, b"%d" % theirs[0]["pid"])
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    theirs = int(os.read(out, 20))
    os.close(out)
    os.close(into)
    assert os.waitstatus_to_exitcode(status) == 0
    assert theirs != mine[0]["pid"]
    assert huey.storage.run("select pg_backend_pid() as pid") == mine, "the parent's connection still works"
    until(lambda: sessions(database) == 1, 30)
