"""The desk: batches of short jobs are claimed ahead, and nobody else waits for them longer than a second."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from skeldir_huey.queue import desk as desks
from skeldir_huey.queue.desk import MAX_BATCH, Desk
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.settler import Success
from skeldir_huey.tasks.housekeeping import ping
from tests.cluster import Database
from tests.waiting import until

JOBS = 3 * MAX_BATCH


@pytest.fixture
def desk(huey: SkeldirHuey) -> Iterator[Desk]:
    """A desk whose last jobs were short, so that it claims whole batches."""
    huey.enqueue_many(ping.s() for _ in range(JOBS))
    made = Desk(huey.storage, lambda settled: None)
    made._batch = MAX_BATCH
    yield made
    made.release_all()


def running(database: Database) -> int:
    return int(database.value("select count(*) from huey.job where state = 'running'"))


def start(loop: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    return thread


def test_the_next_batch_is_claimed_before_the_last_one_ends(desk: Desk, database: Database) -> None:
    assert desk.take(0) is not None
    desk._low_at = 20
    desk.release_waiting = lambda *_: None  # type: ignore[method-assign]  # a slow machine's claims stay here
    start(desk.claim_loop)
    for _ in range(MAX_BATCH - 1 - 20):
        assert desk.take(0) is not None
    assert running(database) == MAX_BATCH
    assert desk.take(0) is not None  # now fewer than 20 are left
    until(lambda: running(database) >= 2 * MAX_BATCH, 10)
    taken = [desk.take(0) for _ in range(MAX_BATCH)]
    assert None not in taken
    assert len({claim.id for claim in taken if claim}) == MAX_BATCH


def test_it_is_claimed_so_early_that_four_claims_fit_in_what_is_left(
    desk: Desk, huey: SkeldirHuey, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = huey.storage.claim
    clock = SimpleNamespace(now=100.0)
    clock.monotonic = lambda: clock.now

    def claim_slowly(*args: Any, **options: Any) -> Any:
        clock.now += 0.02
        return claim(*args, **options)

    monkeypatch.setattr(desks, "time", clock)  # whatever this machine is doing meanwhile
    monkeypatch.setattr(huey.storage, "claim", claim_slowly)
    for job_s, least, most in ((0.002, 40, 2 * MAX_BATCH), (0.00001, 2 * MAX_BATCH, 2 * MAX_BATCH)):
        desk._batch_began, desk._batch_size = clock.now - MAX_BATCH * job_s, MAX_BATCH
        desk._claim()
        assert least <= desk._low_at <= most
    desk._claim()
    desk._claim()
    assert (desk._batch_size, desk._low_at) == (0, 0), "nothing is left to be claimed"


def test_claims_that_nobody_begins_go_back(desk: Desk, database: Database) -> None:
    first = desk.take(0)
    assert first is not None
    assert running(database) == MAX_BATCH
    start(desk.claim_loop)
    until(lambda: running(database) == 1, 10)
    assert desk.is_mine(first.id, first.token)


def test_a_claim_under_way_at_the_stop_is_given_back_too(desk: Desk, database: Database) -> None:
    """Without waiting for it, 50 rows stayed with a consumer that was gone."""
    assert desk.take(0) is not None
    in_the_way = database.connect("postgres")
    with in_the_way.cursor() as cursor:
        cursor.execute("lock table huey.job in access exclusive mode")
        desk._ready.clear()
        claimer = start(lambda: desk.take(0))
        blocked = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%%claim%%'"
        until(lambda: database.value(blocked) == 1, 10)
        stopper = start(desk.release_all)
        until(lambda: desk.stopping, 10)
    in_the_way.rollback()
    in_the_way.close()
    for thread in (claimer, stopper):
        thread.join(10)
    until(lambda: running(database) == 0, 10)


def test_a_late_finish_does_not_drop_the_new_claim_on_the_same_job(desk: Desk, huey: SkeldirHuey) -> None:
    """This process was taken for frozen, and has claimed the same job again before the old attempt comes back."""
    old = desk.take(0)
    assert old is not None
    huey.storage.release([old])
    with desk._lock:
        desk._ready.clear()
    desk._claim()
    new = desk._held[old.id]
    assert new.token != old.token
    desk.forget(old)
    assert desk.is_mine(new.id, new.token)
    desk.forget(new)
    assert not desk.is_mine(new.id, new.token)


def test_a_job_that_ends_during_the_stop_is_settled_and_not_given_back(desk: Desk, database: Database) -> None:
    """Its worker came in after the last settlement: given back, the job would run twice."""
    claim = desk.take(0)
    assert claim is not None
    flush = desk.flush

    def flushes_too_early() -> None:
        flush()
        if claim.id in desk._running:
            desk.success(Success(claim, None, None, 1.0, "w", None))

    desk.flush = flushes_too_early  # type: ignore[method-assign]
    desk.release_all()
    assert database.query("select task_id, outcome from huey.job_attempt") == [(claim.task_id, "done")]
    assert running(database) == 0


def test_a_worker_begins_what_has_come_while_the_next_batch_is_being_claimed(
    desk: Desk, huey: SkeldirHuey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited for the lock of the claims, which the claimer kept for the next batch."""
    claim = huey.storage.claim
    calls: list[threading.Event] = []

    def claim_when_told(*args: Any, **options: Any) -> Any:
        calls.append(threading.Event())
        assert calls[-1].wait(30)
        found = claim(*args, **options)
        desk._low_at = 2 * MAX_BATCH
        return found

    def ahead() -> None:
        while desk._may_claim_ahead():
            desk._make_batch()
            desk._low_at = 2 * MAX_BATCH

    monkeypatch.setattr(huey.storage, "claim", claim_when_told)
    desk._low_at = 2 * MAX_BATCH
    claimer = start(ahead)
    until(lambda: len(calls) == 1, 30)
    taken: list[Any] = []
    worker = start(lambda: taken.append(desk.take(0)))
    until(lambda: desk._came._waiters, 30)  # type: ignore[attr-defined]
    calls[0].set()
    until(lambda: len(calls) == 2, 30)
    worker.join(30)
    assert None not in taken and len(taken) == 1, "the second claim is still under way"
    desk.stopping = True
    calls[1].set()
    claimer.join(30)


def test_workers_that_got_nothing_of_a_batch_claim_the_next_one(desk: Desk) -> None:
    """Batches begin at one job: three of four workers would have slept for a second."""
    desk._batch = 1
    taken: list[Any] = []
    workers = [start(lambda: taken.append(desk.take(0))) for _ in range(4)]
    for worker in workers:
        worker.join(30)
    assert None not in taken
    assert len({claim.id for claim in taken}) == 4


def test_tiny_jobs_are_left_to_one_worker_until_it_is_busy(
    desk: Desk, huey: SkeldirHuey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four threads that take turns at the interpreter did a tenth fewer of them than one."""
    clock = SimpleNamespace(now=100.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(desks, "time", clock)
    monkeypatch.setattr(desk.settler, "add", lambda success: None)
    for _ in range(80):  # on average they come to be short
        claim = desk.take(0)
        assert claim is not None
        desk.success(Success(claim, None, None, 0.01, "w", None))
    working = desk.take(0)
    assert working is not None
    assert desk.take(0) is None, "the one worker does them"
    clock.now += desks.HELP_S
    assert desk.take(0) is not None, "the one worker has not come back: others help"
    desk.forget(working)  # it was settled by itself, so it was not tiny
    assert desk.take(0) is not None


def test_a_worker_that_is_in_the_way_neither_claims_nor_sleeps(desk: Desk, database: Database) -> None:
    """Finding nothing to take among tiny jobs it would have claimed ever more, or slept for a second."""
    working = desk.take(0)
    assert working is not None
    desk._run_s, desk._taken_at = 0.0, desks.time.monotonic() + 3600  # somebody is always just taking a job
    assert desk._next_batch() is None
    assert running(database) == MAX_BATCH
    desk._ready.clear()
    assert desk._next_batch() is None, "the one worker claims the next batch"
    assert running(database) == MAX_BATCH
