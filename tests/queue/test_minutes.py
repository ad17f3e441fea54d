"""Minute roll-ups: what the history says, counted by the transactions that write the history."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from uuid import uuid4

import pytest

from skeldir_huey.queue import histogram
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.storage import statement
from tests import work
from tests.cluster import Database
from tests.conftest import ROOT
from tests.factories import make_tenant

FROM_HISTORY = """
select date_trunc('minute', ended_at), lane, task_name, tenant_id,
       count(*) filter (where outcome = 'done'), count(*) filter (where outcome = 'dead'),
       count(*) filter (where outcome = 'cancelled'), count(*) filter (where outcome in ('errored', 'worker_lost')),
       count(run_ms), count(wait_ms)
  from huey.job_attempt where outcome <> 'released' group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""
FROM_MINUTES = """
select minute, lane, task_name, tenant_id, sum(done), sum(dead), sum(cancelled), sum(errored),
       sum((select sum(n) from unnest(run_hist) n)), sum((select sum(n) from unnest(wait_hist) n))
  from huey.run_minutes group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""

IN_QUARTERS = "date_bin('15 minutes', {}, '2000-01-01 00:00:00+00')"
QUARTERS_FROM_HISTORY = FROM_HISTORY.replace("date_trunc('minute', ended_at)", IN_QUARTERS.format("ended_at"))
FROM_QUARTERS = FROM_MINUTES.replace("select minute", "select quarter").replace("run_minutes", "run_quarters")

ATTEMPT = """
insert into huey.job_attempt (task_id, task_name, lane, attempt, outcome, ended, enqueued_at, run_ms, wait_ms)
values ('x', 'x', 'ingest', 1, %(outcome)s, true, now(), %(run_ms)s, %(wait_ms)s)
"""


def work_of_every_kind(huey: SkeldirHuey, database: Database, run_all: Callable[[], int]) -> None:
    tenants = [make_tenant(database, f"tenant-{uuid4()}") for _ in range(2)]
    for tenant in tenants:
        for number in range(3):
            work.effect(f"{number}", tenant_id=tenant)
        work.failing_effect("f", tenant_id=tenant)
    work.total([1, 2])
    cancelled = work.effect("never", tenant_id=tenants[0])
    huey.revoke_by_id(cancelled.id)
    run_all()
    for outcome in ("worker_lost", "released"):
        database.query(ATTEMPT, {"outcome": outcome, "run_ms": None, "wait_ms": None})


def test_minutes_say_what_the_history_says_before_and_after_folding(
    huey: SkeldirHuey, database: Database, run_all: Callable[[], int]
) -> None:
    work_of_every_kind(huey, database, run_all)
    expected = database.query(FROM_HISTORY)
    assert sum(row[4] for row in expected) >= 7
    assert sum(row[6] for row in expected) == 1
    assert sum(row[7] for row in expected) >= 3
    quarters = database.query(QUARTERS_FROM_HISTORY)
    assert database.query(FROM_MINUTES) == expected and database.query(FROM_QUARTERS) == quarters
    for _ in range(2):
        huey.storage.run(statement("fold_runs"))
        assert database.query(FROM_MINUTES) == expected and database.query(FROM_QUARTERS) == quarters
    assert database.value("select count(*) from huey.run_delta") == 0
    work_of_every_kind(huey, database, run_all)
    huey.storage.run(statement("fold_runs"))
    assert database.query(FROM_MINUTES) == database.query(FROM_HISTORY)
    assert database.query(FROM_QUARTERS) == database.query(QUARTERS_FROM_HISTORY)


def test_a_settlement_that_is_rolled_back_leaves_no_count(database: Database, huey: SkeldirHuey) -> None:
    connection = database.connect()
    with connection.cursor() as cursor:
        cursor.execute(ATTEMPT, {"outcome": "done", "run_ms": 1, "wait_ms": 1})
        cursor.execute("select count(*) from huey.run_delta")
        assert cursor.fetchone() == (1,)
    connection.rollback()
    connection.close()
    assert database.value("select count(*) from huey.run_minutes") == 0


def test_each_time_falls_into_its_bucket(database: Database) -> None:
    """A bound belongs to the bucket below it; the migration's bounds are those of histogram.py."""
    times = [0.0, *histogram.BOUNDS_MS, histogram.BOUNDS_MS[-1] * 2]
    for ms in times:
        database.query(ATTEMPT, {"outcome": "done", "run_ms": ms, "wait_ms": None})
    counts = [
        sum(column)
        for column in zip(*(h for (h,) in database.query("select run_hist from huey.run_delta")), strict=True)
    ]
    assert counts == [2, *[1] * (len(histogram.BOUNDS_MS) - 1), 1]
    assert database.value("select sum(run_ms) from huey.run_delta") == sum(times)
    migration = runpy.run_path(str(ROOT / "alembic/versions/0011_minutes.py"))
    assert migration["BOUNDS_MS"] == histogram.BOUNDS_MS


def test_minutes_older_than_eight_days_go(huey: SkeldirHuey, database: Database, run_all: Callable[[], int]) -> None:
    work_of_every_kind(huey, database, run_all)
    huey.storage.run(statement("fold_runs"))
    young = database.value("select count(*) from huey.run_minute")
    database.query(
        "insert into huey.run_minute (minute, lane, task_name, done, dead, cancelled, errored, run_ms, run_hist,"
        " wait_ms, wait_hist) select minute - interval '9 days', lane, 'old', 1, 0, 0, 0, 1, run_hist, 1, wait_hist"
        " from huey.run_minute limit 1"
    )
    huey.storage.run(statement("forget_runs"))
    assert database.value("select count(*) from huey.run_minute") == young


@pytest.mark.parametrize(
    ("counts", "q", "expected"),
    [
        ([0] * 13, 0.5, None),
        ([10] + [0] * 12, 0.5, 0.5),
        ([0, 4] + [0] * 11, 1.0, 5.0),
        ([1, 1] + [0] * 11, 0.75, 3.0),
        ([0] * 12 + [7], 0.5, 300000),
        ([5] + [0] * 11 + [5], 0.99, 300000),
    ],
)
def test_a_quantile_is_interpolated_in_its_bucket(counts: list[int], q: float, expected: float | None) -> None:
    assert histogram.quantile(counts, q) == expected


def test_a_histogram_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="13 counts"):
        histogram.quantile([1, 2], 0.5)
