"""Lanes: tasks are routed, consumers may be narrowed, and an unknown lane is an error before anything runs."""

from __future__ import annotations

import uuid

import pytest
from huey.exceptions import ConfigurationError

from skeldir_huey.errors import QueueError
from skeldir_huey.queue.consumer import SkeldirConsumer
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.lanes import LANES, check_lanes
from skeldir_huey.tasks.base import task
from skeldir_huey.tasks.housekeeping import ping
from tests import work
from tests.cluster import Database


def test_a_job_goes_to_the_lane_of_its_task(database: Database, huey: SkeldirHuey) -> None:
    ping()
    work.add(1, 1)
    assert database.query("select task_name, lane from huey.job order by id") == [
        ("skeldir.housekeeping.ping", "housekeeping"),
        ("test.add", "ingest"),
    ]


def test_a_narrowed_consumer_takes_its_lanes_only(huey: SkeldirHuey) -> None:
    ping()
    work.add(1, 1)
    assert [claim.lane for claim in huey.storage.claim(uuid.uuid4(), 50, ["ingest", "llm"])] == ["ingest"]
    assert [claim.lane for claim in huey.storage.claim(uuid.uuid4(), 50)] == ["housekeeping"]


def test_lanes_take_turns(huey: SkeldirHuey) -> None:
    huey.enqueue_many(work.add.s(n, n) for n in range(60))
    ping()
    assert {claim.lane for claim in huey.storage.claim(uuid.uuid4(), 50, ["ingest", "housekeeping"])} == {"ingest"}
    second = huey.storage.claim(uuid.uuid4(), 50, ["housekeeping", "ingest"])
    assert second[0].lane == "housekeeping", "whose turn it is comes first, however much the others hold"
    assert len(second) == 11


def test_unknown_lanes_are_refused(database: Database) -> None:
    with pytest.raises(QueueError, match="unknown lane 'express'"):
        task(name="test.express", lane="express")(lambda: None)
    with pytest.raises(QueueError):
        check_lanes(["ingest", "express"])


def test_the_database_knows_the_same_lanes(database: Database) -> None:
    assert {row[0] for row in database.query("select name from huey.lane")} == set(LANES)


def test_a_task_that_moved_still_runs_the_jobs_from_before(database: Database, huey: SkeldirHuey) -> None:
    """Only the name is stored: module and function may change between two releases."""

    def in_the_old_module(number: int) -> int:
        return number

    def with_another_name(number: int) -> int:
        return number + 1

    old = task(name="test.moves", lane="ingest")(in_the_old_module)
    result = old(41)
    old.unregister()
    with_another_name.__module__ = "elsewhere"
    new = task(name="test.moves", lane="ingest")(with_another_name)
    try:
        found = huey.dequeue()
        assert found is not None
        huey.execute(found)
        assert result() == 42
    finally:
        new.unregister()


@pytest.mark.parametrize("kind", ["greenlet", "gevent"])
def test_greenlet_workers_are_refused(huey: SkeldirHuey, kind: str) -> None:
    with pytest.raises(ConfigurationError, match="greenlet workers are refused"):
        SkeldirConsumer(huey, worker_type=kind)
