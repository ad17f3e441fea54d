"""A claim of short jobs goes on where the last one was, and looks from the beginning of the lanes from time to time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from skeldir_huey.queue import desk as desks
from skeldir_huey.queue.claims import Claim, Place
from skeldir_huey.queue.desk import FROM_START_S, MAX_BATCH, Desk
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.tasks.housekeeping import ping
from tests.cluster import Database
from tests.queue.kept import explain_claim

LANE = "housekeeping"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    made = SimpleNamespace(now=100.0)
    made.monotonic = lambda: made.now
    monkeypatch.setattr(desks, "time", made)
    return made


@pytest.fixture
def desk(huey: SkeldirHuey, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A desk that has just claimed a whole batch of short jobs, of six that wait."""
    monkeypatch.setattr(huey.storage, "capped", False)
    huey.enqueue_many(ping.s() for _ in range(6 * MAX_BATCH))
    made = Desk(huey.storage, lambda settled: None)
    made._batch = MAX_BATCH
    assert made._claim() == MAX_BATCH
    yield made
    made.release_all()


def ids(claims: Any) -> list[int]:
    return [claim.id for claim in claims]


def test_batches_follow_each_other_in_order(desk: Desk) -> None:
    for _ in range(5):
        assert desk._place is not None
        desk._claim()
    ranks = [claim.rank for claim in desk._ready]
    assert ranks == sorted(ranks) and len(set(ids(desk._ready))) == 6 * MAX_BATCH
    assert desk._claim() == 0 and desk._place is None, "nothing is left, here or at the beginning"


def test_what_comes_before_that_place_is_claimed_a_moment_later(
    desk: Desk, huey: SkeldirHuey, clock: SimpleNamespace
) -> None:
    """An urgent job, and one that was given back with its old rank."""
    given_back = desk._ready.popleft()
    desk._claim()
    huey.storage.release([given_back])
    huey.enqueue(ping.s(priority=9))
    desk._claim()
    assert max(claim.priority for claim in desk._ready) == 0 and given_back.id not in ids(desk._ready)
    clock.now += 2 * FROM_START_S
    desk._claim()
    assert max(claim.priority for claim in desk._ready) == 9 and given_back.id in ids(desk._ready)


def test_when_nothing_follows_it_looks_from_the_beginning_at_once(desk: Desk, huey: SkeldirHuey) -> None:
    while desk._place is not None and len(desk._ready) < 6 * MAX_BATCH:
        desk._claim()
    huey.enqueue(ping.s(priority=9))
    assert desk._claim() == 1
    assert desk._ready[-1].priority == 9


def test_a_place_is_one_lane_and_one_priority(huey: SkeldirHuey) -> None:
    huey.enqueue(ping.s(priority=2))
    huey.enqueue_many(ping.s() for _ in range(3))
    claims = huey.storage.claim(uuid.uuid4(), 4)
    assert Place.of(claims) is None
    assert Place.of(claims[1:]) == (LANE, 0, claims[1].rank)


def _pages_read(huey: SkeldirHuey, place: Place | None) -> int:
    """Return how many pages of its index a claim of a batch reads."""
    ((plan,),) = explain_claim(huey.storage, "analyze, buffers, format json", place)
    nodes, read = [plan["Plan"]], 0
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node.get("Index Name") == "job_waiting":
            read += int(node["Shared Hit Blocks"] + node["Shared Read Blocks"])
    return read


def test_a_claim_that_goes_on_does_not_read_what_is_gone(
    huey: SkeldirHuey, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 200,000 jobs done since the last vacuum, a claim from the beginning read 1,690 pages of the index."""
    monkeypatch.setattr(huey.storage, "capped", False)
    database.query("alter table huey.job set (autovacuum_enabled = false)")
    huey.enqueue_many(ping.s() for _ in range(12_000))
    last: list[Claim] = []
    for _ in range(20):
        last = huey.storage.claim(uuid.uuid4(), 500)
    database.query("delete from huey.job where state = 'running'")
    from_the_beginning, from_here = _pages_read(huey, None), _pages_read(huey, Place.of(last))
    assert from_here <= from_the_beginning / 3, (from_here, from_the_beginning)
    huey.storage.close()
