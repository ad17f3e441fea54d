"""200 connections cut at a commit: nobody knows what the server did, and nothing is lost or done twice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from uuid import UUID

import peewee
import psycopg2
import pytest

from skeldir_huey import config
from skeldir_huey.db import engine
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.process import name_sessions
from skeldir_huey.queue.storage import statement
from tests import work
from tests.chaos.proxy import Proxy
from tests.cluster import Database
from tests.factories import make_tenant

ROUNDS = 50  # of each of the four
LOST = (psycopg2.Error, peewee.PeeweeException)


@pytest.fixture
def proxy(database: Database, huey: SkeldirHuey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A way to the server that can be cut, which the queue of this process uses."""
    made = Proxy(database.socket_dir / ".s.PGSQL.5432")
    way = f"postgresql+psycopg2://app_user@127.0.0.1:{made.port}/{database.name}?sslmode=disable&gssencmode=disable"
    engine.dispose()
    for name in ("DATABASE_URL", "DATABASE_DIRECT_URL"):
        monkeypatch.setenv(name, way)
    config.settings.cache_clear()
    huey.storage.new_identity()
    name_sessions(huey.storage.application_name)  # the proxy cuts sessions of consumers only
    yield made
    huey.storage.close()
    engine.dispose()
    made.close()


@pytest.fixture
def tenant(database: Database) -> UUID:
    return make_tenant(database, "alpha")


def sweep(huey: SkeldirHuey) -> None:
    """Give back what carries this consumer's id and is in nobody's hands, as each consumer does every second."""
    while True:
        try:
            rows = huey.storage.run(statement("claims_of"), {"consumer_id": huey.storage.consumer_id})
            parameters = {"ids": [row["id"] for row in rows], "tokens": [row["claim_token"] for row in rows]}
            huey.storage.run(statement("release"), parameters)
            return
        except LOST:
            continue


def run_until_empty(huey: SkeldirHuey) -> None:
    while True:
        try:
            task = huey.dequeue()
        except LOST:
            sweep(huey)
            continue
        if task is None:
            return
        huey.execute(task)
        sweep(huey)


def once_each(database: Database, count: int) -> None:
    assert database.query("select count(*), count(distinct marker) from test_effect") == [(count, count)]
    assert database.value("select count(*) from huey.job") == 0
    assert database.query("select outcome, count(*) from huey.job_attempt where ended group by 1") == [("done", count)]


@pytest.mark.parametrize("done_meanwhile", [False, True], ids=["still waiting", "done meanwhile"])
def test_enqueue_again_after_an_unknown_commit(
    database: Database, huey: SkeldirHuey, tenant: UUID, proxy: Proxy, done_meanwhile: bool
) -> None:
    """A producer that does not know enqueues the same task again: one job, also when the first one is done by then."""
    rng = random.Random(7)
    for number in range(ROUNDS):
        task = work.effect.s(str(number), tenant_id=tenant)
        proxy.cut_next("enqueue", answered=rng.random() < 0.6)
        with pytest.raises(LOST):
            huey.enqueue(task)
        if done_meanwhile:
            run_until_empty(huey)
        huey.enqueue(task)
    run_until_empty(huey)
    assert len(proxy.cuts) == ROUNDS
    once_each(database, ROUNDS)


def test_a_claim_whose_answer_is_lost(database: Database, huey: SkeldirHuey, tenant: UUID, proxy: Proxy) -> None:
    """Row 11. Seen with a plain SqlHuey whose connection was cut after the COMMIT of dequeue: InterfaceError, no row
    left in any table, and the task was never run.
    """
    rng = random.Random(7)
    for number in range(ROUNDS):
        work.effect(str(number), tenant_id=tenant)
        proxy.cut_next("claim", answered=rng.random() < 0.6)
        with pytest.raises(LOST):
            huey.dequeue()
        if rng.random() < 0.5:
            sweep(huey)
    sweep(huey)
    run_until_empty(huey)
    assert len(proxy.cuts) == ROUNDS
    once_each(database, ROUNDS)


def test_a_settlement_whose_answer_is_lost(database: Database, huey: SkeldirHuey, tenant: UUID, proxy: Proxy) -> None:
    """The effect and the end of the job are there together, or both are not."""
    rng = random.Random(7)
    for number in range(ROUNDS):
        work.effect(str(number), tenant_id=tenant)
        proxy.cut_next("commit", answered=rng.random() < 0.6)
        run_until_empty(huey)
    assert [cut.place for cut in proxy.cuts] == ["commit"] * ROUNDS
    assert len({cut.answered for cut in proxy.cuts}) == 2
    once_each(database, ROUNDS)
