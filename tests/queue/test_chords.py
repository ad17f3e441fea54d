"""Chords under redelivery: members run again, finish late or die, and the callback comes once, with every result."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from huey.api import Task, chord
from huey.exceptions import CancelExecution
from huey.utils import SKIPPED

from skeldir_huey.db.engine import transaction
from skeldir_huey.queue.claims import Claim, ClaimedMessage
from skeldir_huey.queue.dead_letters import replay
from skeldir_huey.queue.executor import SkeldirHuey
from tests import work
from tests.cluster import Database
from tests.factories import make_tenant

RunAll = Callable[[], int]
CHORDS, MEMBERS = 200, 5


def task_of(huey: SkeldirHuey, claim: Claim) -> Task:
    task = huey.task_of(ClaimedMessage.of(claim))
    assert task is not None
    return task


@pytest.mark.timeout(120)
def test_200_chords_of_5_under_redelivery(database: Database, huey: SkeldirHuey) -> None:
    """Rows 16 and 17."""
    rng = random.Random(7)
    results = [
        huey.enqueue(chord([work.add.s(10 * number, n) for n in range(MEMBERS)], work.echo.s()))
        for number in range(CHORDS)
    ]
    late: list[Claim] = []  # frozen workers that were rescued, and will finish
    while claims := huey.storage.claim(uuid.uuid4(), rng.randint(1, 8)):
        for claim in claims:
            fate = rng.random()
            if fate < 0.25:  # its worker dies, or is taken for dead and finishes much later
                huey.storage.release([claim])
                late += [claim] if fate < 0.15 else []
                continue
            task = task_of(huey, claim)
            huey.execute(task)
            if fate < 0.45:
                huey.execute(task_of(huey, claim))  # the same claim again
        while late and rng.random() < 0.5:
            huey.execute(task_of(huey, late.pop(rng.randrange(len(late)))))
    for claim in late:
        huey.execute(task_of(huey, claim))
    callbacks = database.value("select count(*) from huey.job_attempt where task_name = 'test.echo' and ended")
    assert callbacks == CHORDS
    assert [one() for one in results] == [[[10 * number + n for n in range(MEMBERS)]] for number in range(CHORDS)]
    assert database.value("select count(*) from huey.job") == 0
    assert database.value("select count(*) from huey.chord_member") == 0
    assert database.value("select count(*) from huey.job_attempt where outcome = 'done'") == CHORDS * (MEMBERS + 1)


def test_a_chord_whose_member_dies_waits_for_its_next_attempt(
    database: Database, huey: SkeldirHuey, run_all: RunAll
) -> None:
    """Row 16. Seen with a plain SqlHuey: with one of 3 members lost the counter stays at 2 and 4 values stay in kv."""
    result = huey.enqueue(chord([work.add.s(n, 0) for n in range(3)], work.total.s()))
    lost = huey.dequeue()  # its worker dies here
    assert lost is not None
    assert run_all() == 2
    assert database.value("select count(*) from huey.chord_member") == 2
    huey.storage.release([lost.claim])
    assert run_all() == 2
    assert result() == 3
    assert database.value("select count(*) from huey.chord_member") == 0


def test_a_member_that_is_delivered_twice_counts_once(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    """Row 17. Seen with a plain SqlHuey: member 0 twice and member 1 enqueue the callback with [0, 1, None] while
    member 2 still waits.
    """
    result = huey.enqueue(chord([work.add.s(n, 0) for n in range(3)], work.echo.s()))
    first, second = huey.dequeue(), huey.dequeue()
    assert first is not None and second is not None
    huey.execute(first)
    huey.execute(first)
    huey.execute(second)
    assert database.value("select count(*) from huey.job where task_name = 'test.echo'") == 0
    run_all()
    assert result() == [[0, 1, 2]]


def test_members_that_end_at_the_same_moment(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    """Row 17: the last one sees all, whoever it is."""
    for _ in range(20):
        huey.enqueue(chord([work.add.s(n, 0) for n in range(MEMBERS)], work.total.s()))
    claims = huey.storage.claim(uuid.uuid4(), 50) + huey.storage.claim(uuid.uuid4(), 50)
    assert len(claims) == 20 * MEMBERS
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda claim: huey.execute(task_of(huey, claim)), claims))
    assert database.value("select count(*) from huey.job where task_name = 'test.total'") == 20
    assert run_all() == 20


def test_a_member_that_does_not_succeed_is_told_as_what_it_was(
    database: Database, huey: SkeldirHuey, run_all: RunAll
) -> None:
    """Row 16: expired, revoked, cancelled before it began, cancelled by itself and failed, alone or as the link of a
    chain that is not reached: the callback comes once, with each in its place.
    """

    @huey.pre_execute("no nines")
    def no_nines(about: Task) -> None:
        if about.args == (9, 9):
            raise CancelExecution

    late, revoked = work.add.s(4, 4), work.add.s(5, 5)
    late.expires = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    members = [work.add.s(1, 0), late, revoked, work.add.s(9, 9), work.exits.s(), work.exits.s().then(work.add, 1)]
    try:
        result = huey.enqueue(chord(members, work.echo.s()))
        huey.revoke(revoked)
        run_all()
    finally:
        huey.unregister_pre_execute("no nines")
    ((one, *skipped, failed, link),) = result()
    assert (one, skipped) == (1, [SKIPPED] * 3)
    assert "SystemExit" in failed.metadata["error"] and "SystemExit" in link.metadata["error"]
    assert database.value("select count(*) from huey.job_attempt where task_name = 'test.echo'") == 1
    assert database.value("select count(*) from huey.chord_member") == 0


def test_a_replayed_member_is_in_no_chord_any_more(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    """Nor is the link of its chain that reported to it. Seen before: the callback of a chord of one came twice."""
    tenant = make_tenant(database, "alpha")
    database.query("create table test_broken (); grant select on test_broken to app_user")
    head = work.fails_while_broken.s("e", tenant_id=tenant).then(work.total, [1])
    huey.enqueue(chord([head], work.echo.s()))
    run_all()
    database.query("drop table test_broken")
    with transaction(tenant, who="console", role="console_tenant") as connection:
        replay(connection, UUID(str(database.value("select id from worker_failed_jobs"))))
    run_all()
    ends = "select task_name, count(*) from huey.job_attempt where outcome = 'done' group by 1 order by 1"
    assert database.query(ends) == [("test.echo", 1), ("test.fails_while_broken", 1), ("test.total", 1)]
    assert database.value("select count(*) from huey.chord_member") == 0
