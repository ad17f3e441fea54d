"""Two processes that start on an empty history and drain many short jobs: each of them is executed once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests import work
from tests.cluster import Database
from tests.e2e.conftest import StartConsumer
from tests.waiting import until

JOBS = 6_000


def test_no_job_of_a_drain_runs_twice(database: Database, start_consumer: StartConsumer, tmp_path: Path) -> None:
    """Nobody dies here. What was given back or rescued all the same would be seen twice in the file."""
    path = tmp_path / "notes"
    work.huey.enqueue_many(work.notes.s(str(path), number) for number in range(JOBS))
    consumers = [start_consumer("-w", "1", ready=False), start_consumer("-w", "2", ready=False)]
    left = "select count(*) from huey.job where task_name = 'test.notes'"
    until(lambda: database.value(left) == 0, 60, consumers[0].log.read_text)
    ran = Counter(path.read_text().split())
    assert len(ran) == JOBS
    assert {number: count for number, count in ran.items() if count > 1} == {}
    for name in ("settlement_failed", "claims_released", "consumer_rescued", "job_fenced"):
        assert not [line for one in consumers for line in one.events(name)], name
