"""Suspects: what a process claims beside a job whose consumer died, whose death counts, and who is rescued at all."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from uuid import UUID

import pytest

from skeldir_huey.queue import suspicion
from skeldir_huey.queue.claims import Claim
from skeldir_huey.queue.desk import Desk
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.rescue import Rescuer
from skeldir_huey.tasks.housekeeping import ping
from tests import work
from tests.cluster import Database

Mutate = Callable[[str, str, str], None]
DEATHS = "select deaths from huey.job order by id"


def suspect(database: Database, place: int, apart: bool = False) -> None:
    """Make the job at this place of the queue one whose consumer died."""
    ids = [job_id for (job_id,) in database.query("select id from huey.job order by rank")]
    database.query("update huey.job set claim_alone = true, claim_apart = %s where id = %s", (apart, ids[place]))


def mine(desk: Desk, wait_s: float = 0.0) -> Claim:
    claim = desk.take(wait_s)
    assert claim is not None
    return claim


def test_a_suspect_is_claimed_by_itself_and_nothing_beside_it(
    database: Database, huey: SkeldirHuey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspicion, "ALONE_S", 3600.0)  # however slow this machine is
    huey.enqueue_many(ping.s() for _ in range(6))
    suspect(database, 2)
    desk = Desk(huey.storage, lambda settled: None)
    desk._batch = 10
    first, second = mine(desk), mine(desk)
    assert desk.take(0) is None, "the process is to become empty first"
    desk.forget(first)
    assert desk.take(0) is None
    desk.forget(second)
    alone = mine(desk)
    assert alone.suspect and not first.suspect
    assert desk.take(0) is None, "nothing begins beside it"
    desk.forget(alone)
    assert not mine(desk).suspect
    desk.release_all()


@pytest.mark.parametrize(("apart", "capped"), [(False, False), (True, False), (True, True)])
def test_whoever_ran_long_enough_holds_nobody_back(
    database: Database, huey: SkeldirHuey, monkeypatch: pytest.MonkeyPatch, apart: bool, capped: bool
) -> None:
    """An hour's job, suspect or not, costs the others seconds; only one that is set apart waits for another suspect."""
    huey.enqueue_many(ping.s() for _ in range(5))
    suspect(database, 1)
    suspect(database, 2, apart=apart)
    huey.storage.capped = capped
    desk = Desk(huey.storage, lambda settled: None)
    monkeypatch.setattr(suspicion, "ALONE_S", 3600.0)
    long = mine(desk)
    assert desk.take(0) is None
    monkeypatch.setattr(suspicion, "ALONE_S", 0.0)
    first = mine(desk)
    assert first.suspect and not long.suspect
    monkeypatch.setattr(suspicion, "ALONE_S", 3600.0)
    assert desk.take(0) is None
    monkeypatch.setattr(suspicion, "ALONE_S", 0.0)
    if not apart:
        assert mine(desk).suspect
        assert not mine(desk).suspect and not mine(desk).suspect
    else:
        assert not mine(desk).suspect and not mine(desk).suspect, "others pass the second suspect"
        assert desk.take(0) is None
        desk.forget(first)
        second = mine(desk)
        assert second.apart
        huey.enqueue(ping.s())
        database.query("update huey.job set claim_alone = true where state = 'waiting'")
        assert desk.take(0) is None, "nor does another suspect begin beside it"
        desk.forget(second)
        assert mine(desk).suspect
    desk.release_all()


def steps_until_suspect(desk: Desk) -> int:
    """Work as two workers of a process do, whose jobs end one by one; return after how many the suspect began."""
    held: list[Claim] = []
    for step in range(40):
        while len(held) < 2 and (claim := desk.take(0)) is not None:
            held.append(claim)
            if claim.suspect:
                return step
        desk.forget(held.pop(0))
    return 40


def test_a_busy_process_becomes_empty_for_a_suspect(database: Database, huey: SkeldirHuey) -> None:
    """Its lane's turn comes, and waits until nothing else runs: other lanes do not keep the process busy for ever."""
    huey.enqueue_many(work.add.s(1, 1) for _ in range(10))
    suspect(database, 0)
    huey.enqueue_many(ping.s() for _ in range(200))
    desk = Desk(huey.storage, lambda settled: None)
    desk._turn = ["housekeeping", "ingest"]
    assert steps_until_suspect(desk) < 20
    desk.release_all()


@pytest.fixture
def dead(database: Database, huey: SkeldirHuey) -> UUID:
    """A consumer that is gone without a word."""
    made = uuid.uuid4()
    database.query(
        "insert into huey.consumer (id, host, pid, worker_type, worker_count, lanes, version, heartbeat_at)"
        " values (%s, 'h', 1, 'thread', 4, '{ingest}', 'v', now() - interval '1 hour')",
        (str(made),),
    )
    return made


def die_with(database: Database, huey: SkeldirHuey, dead: UUID, claims: int) -> None:
    """Let a consumer die with jobs that it claimed one by one, an hour ago; rescue them."""
    own, huey.storage.consumer_id = huey.storage.consumer_id, dead
    for _ in range(claims):
        assert huey.storage.claim(uuid.uuid4(), 1)
    huey.storage.consumer_id = own
    started = "select pg_postmaster_start_time() + interval '1 millisecond'"
    database.query(f"update huey.job set claimed_at = ({started}) where state = 'running'")
    database.query("update huey.consumer set stopped_at = now()")
    assert Rescuer(huey).sweep() == claims


def test_only_a_death_that_is_surely_its_own_counts(database: Database, huey: SkeldirHuey, dead: UUID) -> None:
    huey.enqueue_many(ping.s() for _ in range(3))
    die_with(database, huey, dead, 3)
    assert database.query(DEATHS) == [(0,), (0,), (0,)], "which of the three it was, nobody knows"
    assert database.query("select distinct claim_alone, attempt from huey.job") == [(True, 0)]
    die_with(database, huey, dead, 1)
    assert database.query("select deaths from huey.job order by rank") == [(1,), (0,), (0,)]


APART = "select deaths, claim_alone, claim_apart from huey.job order by rank"


def test_suspects_that_die_together_are_set_apart(database: Database, huey: SkeldirHuey, dead: UUID) -> None:
    """Which of the two it was, nobody knows: the next death of each is its own."""
    huey.enqueue_many(ping.s() for _ in range(3))
    suspect(database, 0)
    suspect(database, 1)
    die_with(database, huey, dead, 3)
    assert database.query(APART) == [(0, True, True), (0, True, True), (0, True, False)]
    die_with(database, huey, dead, 1)
    assert database.query("select sum(deaths) from huey.job where claim_apart") == [(1,)]


def test_mutant_that_blames_suspects_that_die_together(
    database: Database, huey: SkeldirHuey, dead: UUID, mutate: Mutate
) -> None:
    mutate("lost_claims", "beside.suspect or beside.anyone", "beside.anyone")
    huey.enqueue_many(ping.s() for _ in range(2))
    suspect(database, 0)
    suspect(database, 1)
    die_with(database, huey, dead, 2)
    assert database.query(DEATHS) == [(1,), (1,)], "the mutant survived"


def test_a_job_beside_a_suspect_is_not_blamed(database: Database, huey: SkeldirHuey, dead: UUID) -> None:
    huey.enqueue_many(ping.s() for _ in range(2))
    suspect(database, 0)
    die_with(database, huey, dead, 2)
    assert database.query("select deaths from huey.job order by rank") == [(1,), (0,)]


def test_mutant_that_blames_everybody(database: Database, huey: SkeldirHuey, dead: UUID, mutate: Mutate) -> None:
    mutate("lost_claims", "or beside.anyone and not j.claim_alone", "")
    huey.enqueue_many(ping.s() for _ in range(3))
    die_with(database, huey, dead, 3)
    assert database.query(DEATHS) == [(1,), (1,), (1,)], "the mutant survived"


def test_an_attempt_that_ends_by_itself_clears_the_suspicion(database: Database, huey: SkeldirHuey) -> None:
    huey.enqueue(ping.s(retries=1))
    suspect(database, 0, apart=True)
    task = huey.dequeue()
    assert task is not None
    task.execute = lambda: 1 / 0
    huey.execute(task)
    assert database.query("select state, attempt, claim_alone, claim_apart from huey.job") == [
        ("waiting", 1, False, False)
    ]


def test_a_consumer_without_a_lock_lives_by_its_heartbeat(database: Database, huey: SkeldirHuey, dead: UUID) -> None:
    """Behind a pooler nobody holds a lock. Seen: whoever ticked took the jobs of all others, each second."""
    huey.enqueue(ping.s())
    database.query("update huey.consumer set heartbeat_at = clock_timestamp(), holds_lock = false")
    own, huey.storage.consumer_id = huey.storage.consumer_id, dead
    assert huey.storage.claim(uuid.uuid4(), 1)
    huey.storage.consumer_id = own
    rescuer = Rescuer(huey)
    assert [rescuer.sweep() for _ in range(3)] == [0, 0, 0]
    database.query("update huey.job set claimed_at = now() - interval '1 hour'")
    database.query("update huey.consumer set heartbeat_at = now() - interval '1 hour'")
    assert rescuer.sweep() == 1


def test_rescued_jobs_are_ranked_anew(database: Database, huey: SkeldirHuey, dead: UUID) -> None:
    """From the lane's virtual time on: soon, whatever its tenant has waiting, and not before other tenants' turns."""
    a, b = uuid.uuid4(), uuid.uuid4()
    row = "insert into huey.job (task_id, lane, task_name, tenant_id, message, state, rank)"
    series = "generate_series(1, 400) n"
    database.query(f"{row} select 'a' || n, 'ingest', 't', %s, '', 'waiting', n from {series}", (str(a),))
    own, huey.storage.consumer_id = huey.storage.consumer_id, dead
    assert len(huey.storage.claim(uuid.uuid4(), 20)) == 20
    huey.storage.consumer_id = own
    assert len(huey.storage.claim(uuid.uuid4(), 50)) == 50
    database.query(f"{row} values ('b', 'ingest', 't', %s, '', 'waiting', 71)", (str(b),))
    database.query("update huey.consumer set stopped_at = now()")
    assert Rescuer(huey).sweep() == 20
    ranks = [rank for (rank,) in database.query("select rank from huey.job where claim_alone order by rank")]
    assert ranks == [70.0 + n for n in range(1, 21)]
    ahead = "select count(*) from huey.job where state = 'waiting' and (rank, id) < (71, %s)"
    b_id = database.value("select id from huey.job where task_id = 'b'")
    assert database.value(ahead, (b_id,)) <= 2, "at most one of those that were rescued, and one of the backlog"
