"""One execution, one settlement: effects, children, results, retries and dead letters are one commit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from huey.api import chord
from huey.exceptions import TaskException

from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError, QueueError, TenantRequired
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.tasks.housekeeping import ping
from tests import work
from tests.cluster import Database
from tests.factories import make_tenant

RunAll = Callable[[], int]


@pytest.fixture
def tenant(database: Database, huey: SkeldirHuey) -> UUID:
    return make_tenant(database, "alpha")


def effects(database: Database) -> list[str]:
    return sorted(row[0] for row in database.query("select marker from test_effect"))


def outcomes(database: Database) -> list[tuple[str, int]]:
    return database.query("select outcome, attempt from huey.job_attempt order by id")


def test_job_leaves_effect_result_and_history_together(database: Database, tenant: UUID, run_all: RunAll) -> None:
    result = work.effect("one", tenant_id=tenant)
    assert effects(database) == []
    assert run_all() == 1
    assert effects(database) == ["one"]
    assert result() == "one"
    assert outcomes(database) == [("done", 1)]
    assert database.value("select count(*) from huey.job") == 0


def test_failed_attempts_leave_nothing_and_the_last_one_a_letter(
    database: Database, tenant: UUID, run_all: RunAll
) -> None:
    result = work.failing_effect("bad", tenant_id=tenant)
    assert run_all() == 3
    assert effects(database) == [], "neither the effect nor the child of a failed attempt may exist"
    assert outcomes(database) == [("errored", 1), ("errored", 2), ("dead", 3)]
    letters = database.query(
        "select tenant_id, task_name, task_id, error_type, exception_class, status, retry_count,"
        " task_kwargs->>'tenant_id' is not null from worker_failed_jobs"
    )
    assert letters == [(tenant, "test.failing_effect", result.id, "permanent", "ValueError", "pending", 0, True)]
    with pytest.raises(TaskException):
        result()


def test_child_exists_only_with_its_parent(
    database: Database, huey: SkeldirHuey, tenant: UUID, run_all: RunAll
) -> None:
    work.parent("p", tenant_id=tenant)
    task = huey.dequeue()
    assert task is not None
    assert database.value("select count(*) from huey.job") == 1
    huey.execute(task)
    assert database.value("select count(*) from huey.job where task_name = 'test.effect'") == 1
    parent, child = database.query("select task_name, correlation_id from huey.job_attempt") + database.query(
        "select task_name, correlation_id from huey.job"
    )
    assert parent[1] == child[1], "a child carries the correlation id of its parent"
    run_all()
    assert effects(database) == ["child of p"]


def test_steps_committed_on_the_way_stay(database: Database, tenant: UUID, run_all: RunAll) -> None:
    work.two_steps("s", tenant_id=tenant)
    run_all()
    assert effects(database) == ["s 1"]


def test_swallowed_abort_is_a_failed_attempt(database: Database, tenant: UUID, run_all: RunAll) -> None:
    """psycopg2's commit() of an aborted transaction returns normally: the job must not be done."""
    work.swallowed_abort(tenant_id=tenant)
    run_all()
    assert outcomes(database) == [("dead", 1)]
    assert effects(database) == []


def test_system_exit_is_a_failed_attempt(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    work.exits()
    assert run_all() == 1
    assert outcomes(database) == [("dead", 1)]
    assert database.query("select tenant_id, exception_class from worker_failed_jobs") == [(None, "SystemExit")]


def test_chain_is_settled_with_its_head(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    results = huey.enqueue(work.add.s(1, 2).then(work.add, 10))
    assert run_all() == 2
    assert results.get() == [3, 13]


def test_group_and_chord(huey: SkeldirHuey, run_all: RunAll) -> None:
    chord_result = huey.enqueue(chord([work.add.s(n, n) for n in range(4)], work.total.s()))
    run_all()
    assert chord_result() == 12


def test_a_member_that_is_settled_twice_counts_once(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    huey.enqueue(chord([work.add.s(n, n) for n in range(2)], work.total.s()))
    first = huey.dequeue()
    assert first is not None
    huey.execute(first)
    del first.claim  # the same member again, as after a redelivery
    huey.execute(first)
    assert database.value("select count(*) from huey.chord_member") == 1
    assert database.value("select count(*) from huey.job where task_name = 'test.total'") == 0
    run_all()
    assert database.value("select count(*) from huey.job_attempt where task_name = 'test.total'") == 1


def test_a_receiver_of_dead_that_fails_brings_the_job_back(
    database: Database, huey: SkeldirHuey, tenant: UUID, run_all: RunAll
) -> None:
    calls: list[str] = []

    def broken(signal: str, job: object, error_type: str, error: BaseException) -> None:
        calls.append(error_type)
        raise KeyError("receiver")

    work.exits()
    huey.signal("dead")(broken)
    try:
        task = huey.dequeue()
        assert task is not None
        huey.execute(task)
        assert calls == ["permanent"]
        assert database.value("select state from huey.job") == "running", "not acknowledged"
        assert database.value("select count(*) from worker_failed_jobs") == 0
    finally:
        huey.disconnect_signal(broken, "dead")


def test_letter_that_cannot_be_written_brings_the_job_back(
    database: Database, huey: SkeldirHuey, run_all: RunAll
) -> None:
    database.query("alter table worker_failed_jobs add check (task_name <> 'test.exits')")
    work.exits()
    task = huey.dequeue()
    assert task is not None
    huey.execute(task)
    assert database.value("select count(*) from huey.job") == 1
    assert database.value("select count(*) from worker_failed_jobs") == 0


def test_enqueue_in_lives_and_dies_with_the_callers_transaction(
    database: Database, huey: SkeldirHuey, tenant: UUID, run_all: RunAll
) -> None:
    with pytest.raises(ZeroDivisionError), transaction(tenant) as connection:
        huey.enqueue_in(connection, work.effect.s("lost", tenant_id=tenant))
        raise ZeroDivisionError
    assert database.value("select count(*) from huey.job") == 0
    with transaction(tenant) as connection:
        task_id = huey.enqueue_in(connection, work.effect.s("kept", tenant_id=tenant))
    assert database.value("select task_id from huey.job") == task_id
    run_all()
    assert effects(database) == ["kept"]


def test_tenant_is_demanded_before_any_work(database: Database, huey: SkeldirHuey) -> None:
    for wrong in ({}, {"tenant_id": None}, {"tenant_id": "acme"}, {"tenant_id": 7}):
        with pytest.raises(InputError, match="tenant_id"):
            work.effect("x", **wrong)
    with pytest.raises(TenantRequired):
        work.effect("x")
    assert database.value("select count(*) from huey.job") == 0


def test_a_job_cannot_enqueue_for_another_tenant(
    database: Database, huey: SkeldirHuey, tenant: UUID, run_all: RunAll
) -> None:
    work.smuggler(str(make_tenant(database, "beta")), tenant_id=tenant)
    run_all()
    assert database.query("select exception_class from worker_failed_jobs") == [("skeldir_huey.errors.InputError",)]
    assert database.value("select count(*) from huey.job") == 0


def test_message_larger_than_64_kib_is_refused(database: Database, huey: SkeldirHuey, tenant: UUID) -> None:
    with pytest.raises(QueueError, match="65536"):
        work.effect("x" * 70_000, tenant_id=tenant)
    assert database.value("select count(*) from huey.job") == 0


def test_ping_fails_on_request_only_where_tests_allow_it(huey: SkeldirHuey) -> None:
    with pytest.raises(InputError, match="SKELDIR_TEST_TASKS"):
        ping(fail=True)


def test_delay_and_retry_wait_in_place_until_due(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    work.add.schedule((1, 1), delay=3600)
    assert run_all() == 0
    assert database.value("select state from huey.job") == "scheduled"
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
    huey.storage.run(work.promote, {"now": later})
    assert database.value("select state from huey.job") == "waiting"


def test_unique_job_is_added_once_until_it_ends(
    database: Database, huey: SkeldirHuey, tenant: UUID, run_all: RunAll
) -> None:
    first = work.unique_add(1)
    second = work.unique_add(1)
    other = work.unique_add(2)
    assert second.id == first.id != other.id
    assert database.value("select count(*) from huey.job") == 2
    run_all()
    assert work.unique_add(1).id != first.id


def test_expired_job_is_a_letter_and_a_revoked_one_leaves_its_trace(
    database: Database, huey: SkeldirHuey, run_all: RunAll
) -> None:
    late = work.add.s(1, 2)
    late.expires = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    huey.enqueue(late)
    revoked = work.add(3, 4)
    revoked.revoke()
    run_all()
    assert sorted(outcomes(database)) == [("cancelled", 1), ("dead", 1)]
    assert database.query("select error_type, task_id from worker_failed_jobs") == [("expired", late.id)]


def test_same_task_id_enqueued_again_is_one_job(database: Database, huey: SkeldirHuey) -> None:
    """A producer that does not know whether its commit arrived may enqueue again."""
    task = work.add.s(1, 2)
    huey.enqueue(task)
    huey.enqueue(task)
    assert database.value("select count(*) from huey.job") == 1


def test_job_without_retries_left_keeps_its_message(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    identity = uuid4()
    work.echo(identity, dt.datetime(2026, 1, 2, tzinfo=dt.UTC), (1, {"a": b"x"}))
    run_all()
    value = huey.serializer.deserialize(bytes(database.value("select value from huey.result")))
    assert value == [identity, dt.datetime(2026, 1, 2, tzinfo=dt.UTC), (1, {"a": b"x"})]


def test_a_session_of_the_tasks_own_that_is_cut_is_no_failure(database: Database, run_all: RunAll) -> None:
    """As a restart of the server cuts it: the job runs again, though it has no retries."""
    work.cut_on_the_pool()
    run_all()
    assert database.query("select outcome from huey.job_attempt order by id") == [("released",), ("done",)]
    assert database.value("select count(*) from worker_failed_jobs") == 0
