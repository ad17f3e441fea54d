"""Ends that are easily missed: what cannot be enqueued, what is told when, clocks that disagree, immediate mode."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from huey.api import chord
from huey.exceptions import TaskException

from skeldir_huey.errors import QueueError
from skeldir_huey.queue import storage
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.messages import JsonSerializer, RemoteError, class_name
from skeldir_huey.queue.testing import allow_immediate
from skeldir_huey.tasks.base import task
from tests import work
from tests.cluster import Database

RunAll = Callable[[], int]
Told = list[tuple[str, str]]
HOUR = dt.timedelta(hours=1)


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


@pytest.fixture
def told(huey: SkeldirHuey) -> Iterator[Told]:
    """What Huey's signals told, with the task's name."""
    heard: Told = []

    def listen(signal: str, about: Any, *_: Any) -> None:
        heard.append((signal, about.name))

    huey.signal()(listen)
    yield heard
    huey.disconnect_signal(listen)


def letters(database: Database) -> list[tuple[Any, ...]]:
    return database.query("select task_name, error_type, exception_class from worker_failed_jobs order by failed_at")


def test_arguments_that_are_no_tuple_are_a_failed_attempt(database: Database, run_all: RunAll) -> None:
    """Huey accepts `schedule(3, delay=...)` and fails when it is executed; that must be an end, not a loop."""
    work.add.schedule(3, eta=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    assert run_all() == 2, "the first attempt and the retry that the task has"
    assert letters(database) == [("test.add", "permanent", "TypeError")]


def test_failure_whose_handler_cannot_be_enqueued_is_an_end(
    database: Database, huey: SkeldirHuey, made: Callable[..., Any], run_all: RunAll
) -> None:
    def fails() -> None:
        raise ValueError("x" * 8000)

    def on_error(*_: Any) -> None: ...

    huey.enqueue(made(fails).s().error(made(on_error), "y" * 60_000))
    assert run_all() == 1
    assert letters(database) == [("test.fails", "permanent", "skeldir_huey.errors.QueueError")]


def test_chord_whose_results_are_too_large_for_its_callback_ends(
    database: Database, huey: SkeldirHuey, made: Callable[..., Any], run_all: RunAll
) -> None:
    def large(letter: str) -> str:
        return letter * 40_000

    member = made(large)
    result = huey.enqueue(chord([member.s("a"), member.s("b")], work.total))
    assert run_all() == 2
    assert letters(database) == [("test.total", "permanent", "skeldir_huey.errors.QueueError")]
    with pytest.raises(TaskException, match="65536"):
        result.get()
    assert database.query("select outcome from huey.job_attempt") == [("done",), ("done",)]
    assert database.value("select count(*) from huey.chord_member") == 0


def test_children_are_told_of_after_the_commit_and_only_then(
    database: Database, huey: SkeldirHuey, made: Callable[..., Any], run_all: RunAll, told: Told
) -> None:
    seen: list[int] = []

    def count(signal: str, about: Any, *_: Any) -> None:
        if about.name == "test.add":
            seen.append(database.value("select count(*) from huey.job where task_name = 'test.add'"))

    def adds(fails: bool) -> None:
        work.add(1, 2)
        if fails:
            raise ValueError

    parent = made(adds)
    huey.signal("enqueued")(count)
    try:
        parent(True)
        run_all()
        assert seen == [] and ("enqueued", "test.add") not in told
        told.clear()
        parent(False)
        run_all()
    finally:
        huey.disconnect_signal(count)
    assert seen == [1], "it is there when it is told"
    assert told == [
        *(("enqueued", "test.adds"), ("executing", "test.adds"), ("enqueued", "test.add")),
        *(("complete", "test.adds"), ("executing", "test.add"), ("complete", "test.add")),
    ]


def test_scheduled_job_is_told_of_as_enqueued_and_scheduled(huey: SkeldirHuey, told: Told) -> None:
    work.add.schedule((1, 2), delay=60)
    again = work.unique_add(1)
    assert work.unique_add(1).id == again.id
    assert told == [("enqueued", "test.add"), ("scheduled", "test.add"), ("enqueued", "test.unique_add")]


def test_job_that_the_database_finds_due_runs_on_a_host_whose_clock_is_late(
    database: Database, huey: SkeldirHuey, run_all: RunAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.add.schedule((1, 2), eta=dt.datetime.now(dt.UTC) + dt.timedelta(seconds=0.05))
    late = dt.datetime.now(dt.UTC).replace(tzinfo=None) - HOUR
    monkeypatch.setattr(huey, "_get_timestamp", lambda: late)
    database.query("select pg_sleep(0.06)")
    huey.storage.run(work.promote, {"now": None})
    assert run_all() == 1
    assert database.query("select outcome from huey.job_attempt") == [("done",)]


def test_task_read_from_the_schedule_can_be_enqueued_again(database: Database, huey: SkeldirHuey) -> None:
    """As Huey's own scheduler does it."""
    work.add.schedule((1, 2), delay=60)
    (read,) = huey.read_schedule(dt.datetime.now(dt.UTC) + HOUR)
    assert database.value("select state from huey.job") == "running"
    huey.enqueue(read)
    assert database.query("select state, attempt, claim_token from huey.job") == [("waiting", 0, None)]


def test_job_without_a_row_is_retried_as_a_new_one(
    database: Database, huey: SkeldirHuey, made: Callable[..., Any]
) -> None:
    def fails() -> None:
        raise ValueError

    unclaimed = made(fails, retries=1).s()
    huey.execute(unclaimed)
    assert database.query("select task_id, state from huey.job") == [(unclaimed.id, "waiting")]


def test_exception_that_travelled_looks_like_itself() -> None:
    serializer = JsonSerializer()
    error = serializer.deserialize(serializer.serialize(KeyError("tenant")))
    assert isinstance(error, RemoteError) and not isinstance(error, KeyError)
    assert (type(error).__name__, repr(error), str(error)) == ("KeyError", "KeyError('tenant')", "KeyError: 'tenant'")
    again = serializer.deserialize(serializer.serialize(error))
    assert (class_name(again), repr(again)) == ("KeyError", "KeyError('tenant')")
    old = serializer.deserialize(b'{"v":1,"d":{"$":"exception","v":["a.b.C","text","trace"]}}')
    assert (type(old).__name__, repr(old), old.traceback_text) == ("C", "C('text')", "trace")


def test_exception_with_endless_texts_still_travels() -> None:
    assert len(JsonSerializer().serialize(ValueError("x" * 1_000_000))) < 32_000


def test_immediate_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 12: in memory every job would vanish at exit."""
    with pytest.raises(QueueError, match="immediate mode is refused"):
        SkeldirHuey("refused", immediate=True)
    huey = SkeldirHuey("refused", immediate_use_memory=False)
    with pytest.raises(QueueError, match="immediate mode is refused"):
        huey.immediate = True
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "pytest")
        with pytest.raises(QueueError, match="for tests only"):
            allow_immediate(huey)
    assert not huey.immediate


def test_immediate_mode_in_tests_needs_no_database() -> None:
    huey = SkeldirHuey("allowed")
    allow_immediate(huey)
    huey.immediate = True

    @huey.task(lane="ingest")
    def double(number: int) -> int:
        with huey.lock_task("one"):
            return number * 2

    assert double(21)() == 42
    assert not isinstance(huey.storage, storage.PostgresStorage)
