"""Periodic tasks: one job per due minute for any number of consumers, none lost to jitter or downtime."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import peewee
import pytest
from huey import crontab

from skeldir_huey.queue import cron, line
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.storage import PostgresStorage, statement
from skeldir_huey.tasks.base import periodic
from tests.cluster import Database
from tests.waiting import until

START = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def every_minute(huey: SkeldirHuey, request: pytest.FixtureRequest) -> Iterator[str]:
    missed = getattr(request, "param", "once")
    name = "test.every_minute"
    task = periodic(crontab(), name=name, lane="housekeeping", missed=missed)(lambda: None)
    yield name
    task.unregister()


def keys(database: Database) -> list[str]:
    return [
        row[0].split("@")[1][11:]
        for row in database.query("select tick_key from huey.job where task_name = 'test.every_minute' order by 1")
    ]


def at(minute: int, second: float = 0) -> dt.datetime:
    return START + dt.timedelta(minutes=minute, seconds=second)


def test_many_consumers_add_one_job_per_minute(database: Database, huey: SkeldirHuey, every_minute: str) -> None:
    """Row 13. Seen with a plain SqlHuey: the schedulers of 2 consumers added 6 jobs for 3 minutes."""
    cron.tick(huey, at(0))
    with ThreadPoolExecutor(6) as pool:
        for minute in range(1, 4):
            list(pool.map(lambda second, m=minute: cron.tick(huey, at(m, second)), range(6)))
    assert keys(database) == ["12:00", "12:01", "12:02", "12:03"]


def test_a_minute_whose_job_is_done_is_not_added_again(
    database: Database, huey: SkeldirHuey, every_minute: str
) -> None:
    cron.tick(huey, at(0))
    database.query("delete from huey.job")
    cron.tick(huey, at(0, 30))
    assert keys(database) == []


@pytest.mark.parametrize(
    ("every_minute", "expected"),
    [("once", ["12:10"]), ("all", [f"12:{n:02}" for n in range(1, 11)]), ("skip", ["12:10"])],
    indirect=["every_minute"],
)
def test_downtime(database: Database, huey: SkeldirHuey, every_minute: str, expected: list[str]) -> None:
    cron.tick(huey, at(0))
    database.query("delete from huey.job")
    cron.tick(huey, at(10, 59.9))
    assert keys(database) == expected


def test_an_hourly_task_missed_while_down_runs_once_late(database: Database, huey: SkeldirHuey) -> None:
    task = periodic(crontab(minute="5"), name="test.every_minute", lane="housekeeping")(lambda: None)
    try:
        cron.tick(huey, at(0))
        cron.tick(huey, at(30))
        assert keys(database) == ["12:05"]
    finally:
        task.unregister()


def test_jitter_around_the_minute_loses_and_doubles_nothing(
    database: Database, huey: SkeldirHuey, every_minute: str
) -> None:
    """Seen with stock Huey started at second 59.98 with 5 ms of jitter: 18 minutes a day missed and 18 doubled."""
    for minute in range(30):
        for second in (0.004, 29.9, 59.98, 59.996):
            cron.tick(huey, at(minute, second))
    assert keys(database) == [f"12:{n:02}" for n in range(30)]


def test_a_clock_that_was_wrong_stops_no_periodic_task(
    database: Database, huey: SkeldirHuey, every_minute: str
) -> None:
    """The server's clock jumps a year ahead and back. Seen before: no job for a year, and no word of it."""
    cron.tick(huey, at(0))
    cron.tick(huey, at(0) + dt.timedelta(days=365))
    database.query("delete from huey.job where tick_key like '%%@2027%%'")
    with ThreadPoolExecutor(4) as pool:
        for minute in (1, 2):
            list(pool.map(lambda second, m=minute: cron.tick(huey, at(m, second)), range(4)))
    assert keys(database) == ["12:00", "12:01", "12:02"]


def test_a_clock_that_goes_back_a_little_adds_nothing_twice(
    database: Database, huey: SkeldirHuey, every_minute: str
) -> None:
    """As after a failover to a server whose clock is late: it waits until the time comes again."""
    for minute in (0, 30, 1, 2, 30, 31):
        cron.tick(huey, at(minute))
    assert keys(database) == ["12:00", "12:30", "12:31"]


def test_a_scheduler_that_freezes_in_the_middle_holds_nobody_up(
    database: Database, huey: SkeldirHuey, every_minute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no claims, so nobody rescues it, and its machine may be gone: the server ends its transaction."""
    monkeypatch.setattr(line, "_IMPATIENT", line._IMPATIENT.replace("15s", "1s"))
    cron.tick(huey, at(0))
    frozen = PostgresStorage()
    with pytest.raises(peewee.PeeweeException), frozen.together() as run:
        run(statement("tick_last"), {"task_name": every_minute, "now": at(1)})
        until(lambda: cron.tick(huey, at(1)) == 1, 30)
        run(statement("tick_move"), {"task_name": every_minute, "minute": at(1)})
    frozen.close()
    assert keys(database) == ["12:00", "12:01"]
