"""Enqueueing: on the caller's transaction, in bulk, and once however often a producer tries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from huey.api import chord
from sqlalchemy.orm import Session

from skeldir_huey.db.engine import engine, enter, transaction
from skeldir_huey.errors import QueueError
from skeldir_huey.queue.executor import SkeldirHuey
from tests import work
from tests.cluster import Database
from tests.factories import make_tenant

RunAll = Callable[[], int]


@pytest.fixture
def tenant(database: Database, huey: SkeldirHuey) -> UUID:
    return make_tenant(database, "alpha")


@pytest.fixture
def told(huey: SkeldirHuey) -> Iterator[list[str]]:
    """The tasks of which Huey's `enqueued` told."""
    heard: list[str] = []

    def listen(signal: str, about: Any) -> None:
        heard.append(about.name)

    huey.signal("enqueued")(listen)
    yield heard
    huey.disconnect_signal(listen)


def jobs(database: Database) -> int:
    return int(database.value("select count(*) from huey.job"))


def test_enqueue_in_a_connection(database: Database, huey: SkeldirHuey, tenant: UUID, told: list[str]) -> None:
    """Row 10. Seen with a plain SqlHuey: `enqueued` was sent while the job was not there yet, and also for an insert
    that failed (2 signals, 1 job); the caller's own row was rolled back and its job stayed.
    """
    with pytest.raises(ZeroDivisionError), transaction(tenant) as connection:
        huey.enqueue_in(connection, work.effect.s("lost", tenant_id=tenant))
        raise ZeroDivisionError
    assert (jobs(database), told) == (0, [])
    with transaction(tenant) as connection:
        huey.enqueue_in(connection, work.effect.s("kept", tenant_id=tenant))
        assert jobs(database) == 0, "nobody sees it before the commit"
    assert (jobs(database), told) == (1, []), "only the caller knows whether it committed: no signal"


def test_enqueue_in_a_session(database: Database, huey: SkeldirHuey, tenant: UUID, run_all: RunAll) -> None:
    """Row 10, with SQLAlchemy's Session: the job exists if and only if the session commits."""
    with Session(engine("worker")) as session:
        enter(session.connection(), tenant)
        huey.enqueue_in(session, work.effect.s("lost", tenant_id=tenant))
        session.rollback()
        assert jobs(database) == 0
        enter(session.connection(), tenant)
        task_id = huey.enqueue_in(session, work.effect.s("kept", tenant_id=tenant))
        assert huey.enqueue_many([work.effect.s("many", tenant_id=tenant)], session) == 1
        assert jobs(database) == 0
        session.commit()
    assert (task_id,) in database.query("select task_id from huey.job")
    assert run_all() == 2


def test_enqueue_in_for_another_tenant_is_refused_by_the_database(
    database: Database, huey: SkeldirHuey, tenant: UUID
) -> None:
    stranger = make_tenant(database, "stranger")
    with pytest.raises(Exception, match="row-level security"), transaction(tenant) as connection:
        huey.enqueue_in(connection, work.effect.s("smuggled", tenant_id=stranger))
    assert jobs(database) == 0


def test_an_insert_that_fails_is_told_to_nobody(database: Database, huey: SkeldirHuey, told: list[str]) -> None:
    """Row 10: no event without its job."""
    database.query("alter table huey.job add check (task_name <> 'test.add')")
    with pytest.raises(Exception, match="check constraint"):
        work.add(1, 2)
    assert (jobs(database), told) == (0, [])


def test_enqueue_many(database: Database, huey: SkeldirHuey, tenant: UUID, run_all: RunAll) -> None:
    """More than one statement's worth, of two tasks, one job delayed, and an id that comes twice."""
    tasks = [work.effect.s(f"e{number}", tenant_id=tenant) for number in range(1_100)]
    tasks += [work.add.s(1, 2), work.add.s(3, 4, delay=60), tasks[0]]
    assert huey.enqueue_many(tasks) == 1_102
    states = "select state, count(*) from huey.job group by 1 order by 1"
    assert database.query(states) == [("scheduled", 1), ("waiting", 1_101)]
    assert database.value("select sum(job_count) from huey.flow where kind = 'enqueued'") == 1_102
    with pytest.raises(QueueError, match="unique key"):
        huey.enqueue_many([work.unique_add.s(1)])
    with pytest.raises(ZeroDivisionError), transaction(tenant) as connection:
        huey.enqueue_many([work.effect.s("lost", tenant_id=tenant)], connection)
        raise ZeroDivisionError
    assert jobs(database) == 1_102


def test_a_task_id_is_one_job_also_after_it_was_done(
    database: Database, huey: SkeldirHuey, tenant: UUID, run_all: RunAll, told: list[str]
) -> None:
    """Row 10. Whoever does not know whether a commit arrived enqueues again, and the job may be done meanwhile."""
    task = work.effect.s("e", tenant_id=tenant)
    huey.enqueue(task)
    run_all()
    huey.enqueue(task)
    assert huey.enqueue_many([task]) == 0
    with transaction(tenant) as connection:
        assert huey.enqueue_in(connection, task) == task.id
    assert run_all() == 0
    assert database.query("select marker from test_effect") == [("e",)]
    assert told == ["test.effect"]
    assert database.query("select kind, sum(job_count) from huey.flow group by 1 order by 1") == [
        ("done", 1),
        ("enqueued", 1),
    ]


def test_a_task_id_that_came_to_nothing_may_be_enqueued_again(
    database: Database, huey: SkeldirHuey, run_all: RunAll
) -> None:
    task = work.add.s(1, 2)
    huey.revoke(task)
    huey.enqueue(task)
    run_all()
    huey.restore(task)
    huey.enqueue(task)
    run_all()
    assert database.query("select outcome from huey.job_attempt order by id") == [("cancelled",), ("done",)]


def test_a_savepoint_takes_its_jobs_back(database: Database, huey: SkeldirHuey, tenant: UUID, run_all: RunAll) -> None:
    with transaction(tenant) as connection:
        with connection.begin_nested() as savepoint:
            huey.enqueue_in(connection, work.effect.s("lost", tenant_id=tenant))
            huey.enqueue_many([work.effect.s("lost", tenant_id=tenant)], connection)
            savepoint.rollback()
        with connection.begin_nested():
            huey.enqueue_in(connection, work.effect.s("kept", tenant_id=tenant))
    with Session(engine("worker")) as session:
        enter(session.connection(), tenant)
        with session.begin_nested() as savepoint:
            huey.enqueue_in(session, work.effect.s("lost", tenant_id=tenant))
            savepoint.rollback()
        huey.enqueue_in(session, work.effect.s("kept too", tenant_id=tenant))
        session.commit()
    assert run_all() == 2
    assert database.query("select marker from test_effect order by 1") == [("kept",), ("kept too",)]
    assert database.value("select sum(job_count) from huey.flow where kind = 'enqueued'") == 2


def test_what_is_no_task_is_refused(database: Database, huey: SkeldirHuey) -> None:
    chords = chord([work.add.s(1, 1)], work.total.s())
    with pytest.raises(QueueError, match="got a chord"), transaction(None, role="app_rw") as connection:
        huey.enqueue_in(connection, chords)
    with pytest.raises(QueueError, match="got a chord"):
        huey.enqueue_many([work.add.s(1, 1), chords])
    assert jobs(database) == 0
