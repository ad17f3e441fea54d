"""From one attempt to the next: arguments, chains and cancellations are what they were when the job was enqueued."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from skeldir_huey.db.engine import transaction
from skeldir_huey.queue import control
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.tasks import base
from tests import work
from tests.cluster import Database
from tests.factories import make_tenant

RunAll = Callable[[], int]
ENDS = "select task_name, outcome from huey.job_attempt order by id"


@pytest.fixture
def tenant(database: Database, huey: SkeldirHuey) -> UUID:
    return make_tenant(database, "alpha")


@pytest.fixture
def made(huey: SkeldirHuey) -> Iterator[Callable[..., Any]]:
    """Registers tasks for one test."""
    wrappers: list[Any] = []

    def make(kind: Any, function: Callable[..., Any], **settings: Any) -> Any:
        wrappers.append(kind(name=f"test.{function.__name__}", lane="ingest", **settings)(function))
        return wrappers[-1]

    yield make
    for wrapper in wrappers:
        wrapper.unregister()


def test_a_chain_goes_on_once_with_the_value_of_the_attempt_that_was_done(
    database: Database, huey: SkeldirHuey, tenant: UUID, made: Callable[..., Any], run_all: RunAll
) -> None:
    """The first attempt returns, but its commit fails. Seen before: the next link was given the values of both."""
    values = iter([5, 6])

    def head(*, tenant_id: UUID) -> int:
        value = next(values)
        with base.transaction() as connection:
            if value == 5:
                try:
                    connection.exec_driver_sql("select 1/0")
                except Exception:
                    pass
        return value

    results = huey.enqueue(made(base.tenant_task, head, retries=1).s(tenant_id=tenant).then(work.add, 10))
    run_all()
    assert database.query(ENDS) == [("test.head", "errored"), ("test.head", "done"), ("test.add", "done")]
    assert results.get() == [6, 16]


def test_the_next_attempt_is_given_what_was_enqueued(
    huey: SkeldirHuey, made: Callable[..., Any], run_all: RunAll
) -> None:
    """Seen before: an argument that the function had emptied was empty in the next attempt."""
    seen: list[tuple[list[int], dict[str, int]]] = []

    def eats(items: list[int], more: dict[str, int]) -> None:
        seen.append((list(items), dict(more)))
        items.clear()
        more["x"] = 0
        if len(seen) == 1:
            raise ValueError

    made(base.task, eats, retries=1)([1, 2], more={"y": 1})
    run_all()
    assert seen == [([1, 2], {"y": 1})] * 2


def test_a_job_that_is_cancelled_while_it_runs_is_not_tried_again(
    database: Database, huey: SkeldirHuey, tenant: UUID, run_all: RunAll
) -> None:
    """The attempt that runs goes on; seen before: its failure threw the word away, and the job went on to its death."""
    job = work.failing_effect("x", tenant_id=tenant)
    running = huey.dequeue()
    assert running is not None
    with transaction(tenant, who="console", role="console_tenant") as connection:
        asked = control.ask_cancel(connection, job.id)
    assert asked is not None and asked["asked"]
    huey.execute(running)
    run_all()
    assert database.query("select outcome from huey.job_attempt order by id") == [("errored",), ("cancelled",)]
    assert database.value("select count(*) from worker_failed_jobs") == 0


@pytest.mark.parametrize("of", ["job", "task"])
def test_a_word_that_is_good_for_once_goes_with_the_end_that_it_leads_to(
    database: Database, huey: SkeldirHuey, run_all: RunAll, of: str
) -> None:
    """Seen before: it was deleted first; the settlement failed, and the job ran."""
    result = work.add(1, 2)
    if of == "job":
        result.revoke(revoke_once=True)
    else:
        work.add.revoke(revoke_once=True)
    first = huey.dequeue()
    assert first is not None
    database.query("alter table huey.job_attempt add constraint no_end check (outcome <> 'cancelled')")
    huey.execute(first)
    database.query("alter table huey.job_attempt drop constraint no_end")
    huey.storage.release([first.claim])
    run_all()
    assert database.query(ENDS) == [("test.add", "cancelled")]
    work.add(3, 4)
    run_all()
    assert database.query(ENDS) == [("test.add", "cancelled"), ("test.add", "done")], "once is once"
