"""Error handlers and retries: part of the settlement of the attempt that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from huey.exceptions import CancelExecution, RetryTask

from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.messages import RemoteError
from skeldir_huey.tasks.base import task
from tests import work
from tests.cluster import Database
from tests.factories import make_tenant

RunAll = Callable[[], int]


@pytest.fixture
def made(huey: SkeldirHuey) -> Iterator[Callable[..., Any]]:
    """Registers tasks for one test."""
    wrappers: list[Any] = []

    def make(function: Callable[..., Any], **settings: Any) -> Any:
        wrappers.append(task(name=f"test.{function.__name__}", lane="ingest", **settings)(function))
        return wrappers[-1]

    yield make
    for wrapper in wrappers:
        wrapper.unregister()


def test_the_handler_gets_the_error_once_for_each_failed_attempt(
    database: Database, huey: SkeldirHuey, made: Callable[..., Any], run_all: RunAll
) -> None:
    seen: list[tuple[str, Exception]] = []

    def fails() -> None:
        raise KeyError("missing")

    def on_error(note: str, error: Exception) -> str:
        seen.append((note, error))
        return note

    huey.enqueue(made(fails, retries=2).s().error(made(on_error), "note"))
    assert run_all() == 6, "three attempts, and as Huey does it, the handler after each"
    assert [note for note, _ in seen] == ["note"] * 3
    error = seen[-1][1]
    assert isinstance(error, RemoteError)
    assert (type(error).__name__, error.message) == ("KeyError", "'missing'")
    assert "test_error_handlers.py" in error.traceback_text, "the traceback travels, as text"
    outcomes = "select task_name, outcome from huey.job_attempt order by id"
    ends = [
        end
        for attempt in ("errored", "errored", "dead")
        for end in (("test.fails", attempt), ("test.on_error", "done"))
    ]
    assert sorted(database.query(outcomes)) == sorted(ends)
    assert database.value("select count(*) from worker_failed_jobs") == 1


def test_the_handler_exists_only_if_its_failure_is_settled(
    database: Database, huey: SkeldirHuey, made: Callable[..., Any], run_all: RunAll
) -> None:
    """A late finish of a worker that lost its claim adds no second handler."""
    calls: list[int] = []

    def fails() -> None:
        raise ValueError

    def on_error(_: Exception) -> None:
        calls.append(1)

    huey.enqueue(made(fails).s().error(made(on_error)))
    frozen = huey.dequeue()
    assert frozen is not None
    huey.storage.release([frozen.claim])
    living = huey.dequeue()
    assert living is not None
    huey.execute(frozen)
    assert database.value("select count(*) from huey.job where task_name = 'test.on_error'") == 0
    huey.execute(living)
    run_all()
    assert calls == [1]


def test_a_handler_of_a_tenant_task_works_for_its_tenant(
    database: Database, huey: SkeldirHuey, run_all: RunAll
) -> None:
    tenant = make_tenant(database, "alpha")
    first = work.failing_effect.s("bad", tenant_id=tenant, retries=0)
    first.error(work.last_link, tenant_id=tenant)
    huey.enqueue(first)
    run_all()
    assert database.query("select tenant_id, count(*) from test_effect group by 1") == [(UUID(str(tenant)), 1)]
    correlations = database.query("select distinct correlation_id from huey.job_attempt")
    assert len(correlations) == 1, "the handler carries the correlation id of the failure"


@pytest.mark.parametrize(
    ("error", "outcomes"),
    [
        (lambda: RetryTask(delay=0), ["errored", "done"]),
        (lambda: CancelExecution(retry=False), ["cancelled"]),
        (lambda: CancelExecution(retry=True), ["errored", "done"]),
        (CancelExecution, ["cancelled"]),
        (lambda: SystemExit(3), ["dead"]),
    ],
)
def test_errors_that_ask_for_something(
    database: Database,
    huey: SkeldirHuey,
    made: Callable[..., Any],
    run_all: RunAll,
    error: Callable[[], BaseException],
    outcomes: list[str],
) -> None:
    """Rows 5, 8 and 9: RetryTask, CancelExecution and SystemExit end in the table, as what they ask for."""
    first = iter([True])

    def asks() -> None:
        if next(first, False):
            raise error()

    made(asks)()
    for _ in range(3):
        run_all()
        database.query("update huey.job set state = 'waiting' where state = 'scheduled'")
    assert [outcome for (outcome,) in database.query("select outcome from huey.job_attempt order by id")] == outcomes
    assert database.value("select count(*) from worker_failed_jobs") == (outcomes == ["dead"])
