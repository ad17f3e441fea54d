"""The history's day partitions: made ahead, dropped in time, and mended when rows had to go to the default one."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from typing import Any

import psycopg2
import pytest

from skeldir_huey.clock import utc_now
from skeldir_huey.observability import checks
from skeldir_huey.observability.checks import BAD, OK
from tests.cluster import Database
from tests.db.catalog import tables_without_forced_row_security
from tests.test_doctor import ask, states
from tests.waiting import until

ROTATE = "set role app_rw; select app.rotate_job_attempts(%s, 7, 2)"


def today() -> date:
    return utc_now().date()


def rotate(database: Database, day: date | None = None) -> int:
    return int(database.value(ROTATE, [day or today()], user="app_user"))


def add(database: Database, day: date, count: int = 1) -> None:
    database.query(
        "insert into huey.job_attempt (task_id, task_name, lane, attempt, outcome, ended, enqueued_at, ended_at)"
        " select 'x', 't', 'ingest', 1, 'done', true, %s, %s::date + n * interval '1 minute'"
        " from generate_series(1, %s) n",
        [day, day, count],
    )


def places(database: Database) -> dict[str, int]:
    found = database.query("select tableoid::regclass::text, count(*) from huey.job_attempt group by 1")
    return {name.removeprefix("huey.job_attempt_"): count for name, count in found}


def named(day: date) -> str:
    return day.strftime("%Y%m%d")


def test_rows_leave_the_default_partition(database: Database) -> None:
    yesterday = today() - timedelta(days=1)
    for day in (today() - timedelta(days=30), yesterday, today()):
        add(database, day, 5)
    assert ("partitions", BAD) in states(ask(checks.partitions))
    minutes = database.value("select sum(done) from huey.run_minutes")
    assert places(database) == {"default": 15}
    assert rotate(database) == 4, "yesterday, today, tomorrow and the day after"
    assert places(database) == {named(yesterday): 5, named(today()): 5}, "what is too old is gone"
    assert states(ask(checks.partitions)) == {("partitions", OK)}
    assert database.value("select sum(done) from huey.run_minutes") == minutes, "moving counts nothing again"
    assert rotate(database) == 0
    add(database, today())
    assert places(database)[named(today())] == 6
    connection = database.connect()
    try:
        with connection.cursor() as cursor:
            assert tables_without_forced_row_security(cursor) == set()
    finally:
        connection.close()


def test_what_is_written_while_rows_are_moved_is_moved_too(database: Database) -> None:
    add(database, today(), 3)
    with database.connect() as writer, writer.cursor() as cursor:
        cursor.execute(
            "insert into huey.job_attempt (task_id, task_name, lane, attempt, outcome, ended, enqueued_at, ended_at)"
            " values ('late', 't', 'ingest', 1, 'done', true, now(), now())"
        )
        moved: list[Any] = []
        # With more patience than a consumer's, so that the writer's commit is what it waits for.
        patient = "alter function app.rotate_job_attempts(date, integer, integer) set lock_timeout = '30s'"
        database.query(patient)
        thread = threading.Thread(target=lambda: moved.append(rotate(database)))
        thread.start()
        waiting = "select count(*) from pg_locks where not granted and mode = 'ShareRowExclusiveLock'"
        until(lambda: database.value(waiting) == 1)
        writer.commit()
        thread.join(20)
    writer.close()
    assert moved == [3] and places(database) == {named(today()): 4}


def settle_while_it_moves(database: Database) -> list[str]:
    """Write a row while a rotation has not committed yet; returns what became of it."""
    add(database, today(), 3)
    ended: list[str] = []

    def settle() -> None:
        try:
            add(database, today())
            ended.append("written")
        except psycopg2.errors.CheckViolation:
            ended.append("refused")

    with database.connect("app_user") as rotating, rotating.cursor() as cursor:
        cursor.execute(ROTATE, [today()])
        thread = threading.Thread(target=settle)
        thread.start()
        waiting = "select count(*) from pg_locks where not granted and mode = 'RowExclusiveLock'"
        until(lambda: database.value(waiting) == 1)
        rotating.commit()
        thread.join(20)
    rotating.close()
    return ended


def test_a_settlement_that_waits_finds_the_new_partition(database: Database) -> None:
    assert settle_while_it_moves(database) == ["written"]
    assert places(database) == {named(today()): 4}


def test_without_the_lock_of_the_whole_history_it_would_be_refused(database: Database) -> None:
    source = str(database.value("select pg_get_functiondef('app.make_job_attempt_day(date)'::regprocedure)"))
    lock = "lock table huey.job_attempt in share row exclusive mode;"
    assert lock in source
    database.query(source.replace(lock, ""))
    assert settle_while_it_moves(database) == ["refused"]


def test_it_waits_for_nobody(database: Database) -> None:
    """A long reader of the history, a backup say, costs a try; nobody queues up behind it, and nothing is lost."""
    add(database, today(), 3)
    with database.connect() as reader, reader.cursor() as cursor:
        cursor.execute("select count(*) from huey.job_attempt")
        assert rotate(database) == 0
        assert places(database) == {"default": 3}
        add(database, today())  # a settlement goes on meanwhile
        reader.rollback()
    reader.close()
    assert rotate(database) == 3 and places(database) == {named(today()): 4}


def test_two_at_once_do_it_once(database: Database) -> None:
    with database.connect("app_user") as first, first.cursor() as cursor:
        cursor.execute(ROTATE, [today()])
        assert rotate(database) == 0, "the other one does it"
        first.commit()
    first.close()
    assert rotate(database) == 0


def test_old_days_are_dropped(database: Database) -> None:
    rotate(database, today() - timedelta(days=12))
    rotate(database)
    days = database.query("select relname from pg_class where relname ~ '^job_attempt_[0-9]{8}$' order by 1")
    assert [name for (name,) in days] == [f"job_attempt_{named(today() + timedelta(days=n))}" for n in (0, 1, 2)]


@pytest.mark.parametrize("step", ["make_job_attempt_day"])
def test_moving_is_what_mends_it(database: Database, step: str) -> None:
    """The mutant: without the move the day's partition cannot be attached, and doctor says so."""
    add(database, today())
    source = database.value(f"select pg_get_functiondef('app.{step}(date)'::regprocedure)")
    assert "delete from huey.job_attempt_default" in source
    database.query(source.replace("ended_at >= $1 and ended_at < $2", "ended_at < $1 and ended_at > $2"))
    with pytest.raises(psycopg2.errors.CheckViolation):
        rotate(database)
