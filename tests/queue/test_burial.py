"""Jobs that end without their task function: whoever waits for one learns of it, as after a last failed attempt."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from huey.api import chord
from huey.exceptions import TaskException

from skeldir_huey import config
from skeldir_huey.queue import rescue
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.rescue import Rescuer
from skeldir_huey.tasks.base import task
from tests import work
from tests.cluster import Database
from tests.waiting import until

RunAll = Callable[[], int]
Bury = Callable[[], None]
LETTERS = "select task_name, error_type, task_args from worker_failed_jobs"
CALLBACKS = "select count(*) from huey.job_attempt where task_name = 'test.echo' and ended"


@pytest.fixture
def die(database: Database, huey: SkeldirHuey, monkeypatch: pytest.MonkeyPatch) -> Bury:
    """Let a consumer die with the first waiting job: the last death that it is allowed."""
    monkeypatch.setenv("SKELDIR_MAX_DEATHS", "1")
    config.settings.cache_clear()

    def one() -> None:
        own, huey.storage.consumer_id = huey.storage.consumer_id, uuid.uuid4()
        assert huey.storage.claim(uuid.uuid4(), 1)
        huey.storage.consumer_id = own
        started = "select pg_postmaster_start_time() + interval '1 millisecond'"
        database.query(f"update huey.job set claimed_at = ({started}) where state = 'running'")
        assert Rescuer(huey).sweep() == 1

    return one


@pytest.fixture
def vanishing(huey: SkeldirHuey) -> Iterator[Any]:
    """A task that the tests take away after its jobs were added."""
    made = task(name="test.vanishing", lane="ingest")(lambda number: number)
    yield made
    made.unregister()


@pytest.fixture
def _no_grace(huey: SkeldirHuey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKELDIR_UNKNOWN_TASK_GRACE_S", "0")
    config.settings.cache_clear()


def test_a_chord_goes_on_without_a_member_that_kills_its_workers(
    database: Database, huey: SkeldirHuey, run_all: RunAll, die: Bury
) -> None:
    """Row 16. Seen before: the callback waited for ever, with 2 of 3 values stored."""
    result = huey.enqueue(chord([work.add.s(n, 0) for n in range(3)], work.echo.s()))
    die()
    assert run_all() == 3
    ((lost, *rest),) = result()
    assert "WorkerLost" in lost.metadata["error"] and rest == [1, 2]
    assert database.value("select count(*) from huey.chord_member") == 0
    assert database.query(LETTERS) == [("test.add", "worker_lost", [0, 0])]


def test_results_and_handler_of_a_job_that_kills_its_workers(
    database: Database, huey: SkeldirHuey, run_all: RunAll, die: Bury
) -> None:
    head = work.add.s(1, 2).then(work.add, 3)
    results = huey.enqueue(head.error(work.echo, "handler"))
    die()
    assert run_all() == 1, "the handler; the rest of the chain does not run"
    for result in results:
        with pytest.raises(TaskException, match="WorkerLost"):
            result.get()
    assert database.query("select task_name, outcome from huey.job_attempt where ended order by id") == [
        ("test.add", "dead"),
        ("test.echo", "done"),
    ]
    correlations = database.query("select distinct correlation_id from huey.job_attempt")
    assert len(correlations) == 1


@pytest.mark.usefixtures("_no_grace")
def test_a_chord_goes_on_without_a_task_that_nobody_knows(
    database: Database, huey: SkeldirHuey, run_all: RunAll, vanishing: Any
) -> None:
    result = huey.enqueue(chord([work.add.s(1, 0), vanishing.s(7)], work.echo.s()))
    vanishing.unregister()
    run_all()
    ((one, unknown),) = result()
    assert one == 1 and "not found in TaskRegistry" in unknown.metadata["error"]
    assert database.query(LETTERS) == [("test.vanishing", "unknown_task", [7])]


@pytest.mark.usefixtures("_no_grace")
def test_what_nobody_knows_does_not_keep_a_job_from_its_end(
    database: Database, huey: SkeldirHuey, run_all: RunAll, vanishing: Any
) -> None:
    """The chord's callback and the error handler are unknown, too: the job is buried, and its result says so."""
    head = vanishing.s(7).error(vanishing, 8)
    result = huey.enqueue(chord([head], vanishing.s()))
    vanishing.unregister()
    run_all()
    assert database.query(LETTERS) == [("test.vanishing", "unknown_task", [7])]
    assert database.value("select count(*) from huey.job") == 0
    with pytest.raises(TaskException):
        result.results[0].get()


def test_a_rescuer_that_freezes_keeps_nothing_from_the_others(
    database: Database, huey: SkeldirHuey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have no claims itself, so nobody rescues it: the server ends its transaction."""
    monkeypatch.setattr(rescue, "_IN_TIME", rescue._IN_TIME.replace("15s", "100ms"))
    work.add(1, 1)
    own, huey.storage.consumer_id = huey.storage.consumer_id, uuid.uuid4()
    assert huey.storage.claim(uuid.uuid4(), 1)
    huey.storage.consumer_id = own
    others: list[int] = []
    real = rescue.commit

    def another_looks() -> bool:
        others.append(Rescuer(huey).sweep())
        return sum(others) == 1

    def freezes(connection: Any) -> None:
        monkeypatch.setattr(rescue, "commit", real)
        until(another_looks, 10)
        real(connection)

    monkeypatch.setattr(rescue, "commit", freezes)
    assert Rescuer(huey).sweep() == 0, "its own rescue failed"
    assert others[0] == 0, "at first the rows were locked"
    assert database.query("select state, deaths from huey.job") == [("waiting", 1)]
