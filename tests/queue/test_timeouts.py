"""Timeouts hold in thread workers: in SQL, in Python, and against tasks that swallow every exception they can."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.watchdog import DeadlinePassed, Watchdog
from skeldir_huey.tasks.base import task
from tests import work
from tests.cluster import Database
from tests.factories import make_tenant

RunAll = Callable[[], int]


def test_statement_is_cancelled_at_the_deadline(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    """Row 19. Seen with a plain SqlHuey and a process worker: timeout=2 ended a statement of 6 s after 6.0 s."""
    work.slow_sql(tenant_id=make_tenant(database, "alpha"))
    run_all()
    assert database.query("select error_type, exception_class from worker_failed_jobs") == [
        ("timeout", "huey.exceptions.TaskTimeout")
    ]
    sleeping = "select count(*) from pg_stat_activity where query like 'select pg_sleep%%' and state = 'active'"
    assert database.value(sleeping) == 0


def test_a_task_that_swallows_exceptions_still_ends(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    """Rows 18 and 20. Seen with a plain SqlHuey: in a thread worker timeout=2 let 6.0 s of work go on to its end; in a
    process worker timeout=1 was swallowed by `except Exception: pass`, and after 3.0 s the result was a success.
    """
    work.slow_python()
    run_all()
    assert database.query("select error_type from worker_failed_jobs") == [("timeout",)]


def test_the_next_job_of_the_thread_is_untouched(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    for _ in range(3):
        work.slow_python()
        work.add(1, 1)
    run_all()
    assert database.query("select outcome, count(*) from huey.job_attempt group by 1 order by 1") == [
        ("dead", 3),
        ("done", 3),
    ]


def test_a_task_that_catches_everything_and_returns_has_timed_out(
    database: Database, huey: SkeldirHuey, run_all: RunAll
) -> None:
    def clings() -> str:
        with suppress(BaseException):
            threading.Event().wait(0.01)
            while True:
                threading.Event().wait(0.01)
        return "looks fine"

    wrapper = task(name="test.clings", lane="ingest", timeout=0.2)(clings)
    try:
        wrapper()
        run_all()
    finally:
        wrapper.unregister()
    assert database.query("select error_type from worker_failed_jobs") == [("timeout",)]


def test_a_statement_that_cannot_be_cancelled_keeps_no_other_deadline() -> None:
    """Seen before: the error of the cancel request, which finds no server, ended the thread that watches all tasks."""
    watchdog, ended = Watchdog(), []

    def fails() -> None:
        raise ConnectionError("no server")

    def waits(name: str, seconds: float, cancel: Callable[[], None]) -> None:
        try:
            with watchdog.watch(seconds, cancel):
                for _ in range(500):
                    threading.Event().wait(0.01)
        except DeadlinePassed:
            ended.append(name)

    threads = [
        threading.Thread(target=waits, args=("first", 0.1, fails)),
        threading.Thread(target=waits, args=("second", 0.5, lambda: None)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert ended == ["first", "second"]
