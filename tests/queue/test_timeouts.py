"""Timeouts hold in thread workers: in SQL, in Python, and against tasks that swallow every exception they can."""

from __future__ import annotations

from collections.abc import Callable

from skeldir_huey.queue.executor import SkeldirHuey
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
