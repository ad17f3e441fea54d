"""Locks die with their owner; rate limits count once per use, in one statement."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest
from huey.api import Task
from huey.exceptions import RateLimitExceeded, TaskLockedException

from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.jobs import current_job
from tests import work
from tests.cluster import Database
from tests.waiting import until

RunAll = Callable[[], int]
WAITING = "select count(*) from pg_locks where not granted"
PER_S = 10**9  # the next window begins in 2033, not in the middle of the test


def test_a_lock_of_a_dead_job_is_free(huey: SkeldirHuey) -> None:
    """Row 15. Seen with a plain SqlHuey: after kill -9 the lock stays for ever, the next task that wants it is
    dropped (no row left), `ttl=` raises NotImplementedError, and any process may release it.
    """
    work.add(1, 1)
    task = huey.dequeue()
    assert task is not None
    token = current_job.set(huey.job_of(task))
    try:
        assert huey.lock_task("nightly").acquire()
    finally:
        current_job.reset(token)
    with pytest.raises(TaskLockedException):
        huey.lock_task("nightly").acquire()
    assert huey.is_locked("nightly")
    huey.storage.run(work.release, {"ids": [task.claim.id], "tokens": [task.claim.token]})  # its worker died
    assert not huey.is_locked("nightly")
    assert huey.lock_task("nightly").acquire()


def test_only_the_owner_lets_go(huey: SkeldirHuey) -> None:
    work.add(1, 1)
    task = huey.dequeue()
    assert task is not None
    token = current_job.set(huey.job_of(task))
    try:
        huey.lock_task("mine").acquire()
    finally:
        current_job.reset(token)
    assert not huey.lock_task("mine").release()
    assert huey.is_locked("mine")
    assert huey.flush_locks("mine") == {"mine"}
    assert not huey.is_locked("mine")


def test_ttl(database: Database, huey: SkeldirHuey) -> None:
    huey.lock_task("short", ttl=60).acquire()
    assert huey.is_locked("short")
    database.query("update huey.lock set expires_at = now() - interval '1 second'")
    assert not huey.is_locked("short")
    assert huey.lock_task("short").acquire()


def test_locked_job_is_a_dead_letter_not_a_lost_job(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    huey.lock_task("gate").acquire()
    work.locked()
    run_all()
    assert database.query("select error_type, exception_class from worker_failed_jobs") == [
        ("transient", "huey.exceptions.TaskLockedException")
    ]


def test_rate_limit_counts_every_use_once(huey: SkeldirHuey) -> None:
    """Row 30. Seen with a plain SqlHuey, 20 uses a second and 8 threads: 28, 24, 23 and 22 were let through in
    seconds in which the window changed.
    """
    limit = huey.rate_limit("api", 20, per=PER_S)

    def use(_: int) -> bool:
        try:
            limit.acquire()
        except RateLimitExceeded as error:
            assert 0 < error.delay <= PER_S
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, range(50))) == 20
    assert limit.current_usage() == 50
    limit.reset()
    assert limit.current_usage() == 0


def test_next_window_begins_at_zero(huey: SkeldirHuey) -> None:
    def count(at: dt.datetime) -> int:
        return int(
            huey.storage.run(work.count_in_window, {"key": "k", "amount": 1, "per_s": 60, "now": at})[0]["value"]
        )

    first = dt.datetime(2026, 1, 1, 12, 0, 59, tzinfo=dt.UTC)
    assert [count(first), count(first), count(first + dt.timedelta(seconds=1))] == [1, 2, 1]


def test_two_jobs_that_want_a_lock_at_once(database: Database, huey: SkeldirHuey) -> None:
    """One gets it, also if it was claimed while the other one waited. Seen before: in half of the rounds both did."""

    def take(instance: SkeldirHuey, task: Task) -> bool:
        current_job.set(huey.job_of(task))
        try:
            return instance.lock_task("one").acquire()
        except TaskLockedException:
            return False

    processes = [SkeldirHuey("skeldir"), SkeldirHuey("skeldir")]
    for _ in range(8):
        huey.enqueue_many(work.add.s(1, 1) for _ in range(2))
        first = huey.dequeue()
        held_up = database.connect()
        held_up.cursor().execute("insert into huey.lock (key) values ('skeldir.lock.one')")
        with ThreadPoolExecutor(2) as pool:
            takers = [pool.submit(copy_context().run, take, processes[0], first)]
            until(lambda: database.value(WAITING) == 1, 10)
            takers.append(pool.submit(copy_context().run, take, processes[1], huey.dequeue()))
            until(lambda: database.value(WAITING) == 2, 10)
            held_up.rollback()
            assert sorted(one.result() for one in takers) == [False, True]
        held_up.close()
        database.query("delete from huey.lock; delete from huey.job")
    for process in processes:
        process.storage.close()
