"""Huey's own test suite, as shipped in its wheel, against our classes on a real database.

All its tests of what we build on run unchanged, the slow ones too, except: those of DIFFERENT are left out, and those
of QUEUED_FIRST run on an instance that puts jobs with an eta into the queue first. Each stands here with its reason.
Not run at all: Huey's tests of other storages (Redis, SQLite, files, its own Postgres), of helpers we do not offer
(asyncio, semaphores, statistics, mini, Django), and of its pure functions (utils).
"""

from __future__ import annotations

import importlib
import os
import signal
import time
import unittest
from collections.abc import Iterator
from typing import Any

import pytest
from huey.consumer import Consumer

from skeldir_huey.queue.consumer import SkeldirConsumer
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.testing import allow_immediate
from tests.cluster import Cluster, Database
from tests.conftest import JsonLog, copy_of_template, point_at

DIFFERENT = {
    "api.TestQueue.test_subtask_error": "a job's children exist only once it has settled: it cannot wait for them",
    "api.TestChordPrimitive.test_empty_chord": "enqueues a task id again that was done: with us that is the same job",
    "api.TestChordPrimitive.test_chord_bookkeeping_cleared": "looks into MemoryStorage; ours are rows of chord_member",
    "api.TestHueyAPIs.test_flush_named_locks": "writes locks as values; ours are rows with an owner",
    "api.TestMultipleHuey.test_multiple_huey": "instances share one queue, which lanes divide",
    "consumer.TestConsumerConfig.test_shutdown_options": "shutdown_timeout is 4 s by default, not endless",
    "consumer.TestConsumerShutdown.test_signal_handlers": "the first SIGTERM and the first SIGINT are both graceful",
    "consumer.TestConsumerShutdown.test_immediate_stop_ignores_stop_flag": "expects the first SIGTERM to interrupt",
    "consumer.TestProcessWorkers.test_process_worker_integration": "Huey's SqliteStorage; ours: tests/e2e/test_deaths",
    "sql_huey.TestSqlStorage.test_sqlite_waits_for_write_lock": "SQLite only",
    "sql_huey.TestSqlStorage.test_create_tables": "SQLite only; our tables are made by migrations",
    "wrappers.TestWrappers.test_wrappers": "makes a RedisHuey, which needs the redis client; none of our classes",
}
# A job with an eta in the future is scheduled when it is enqueued: Huey queues it, and its first execution moves it.
QUEUED_FIRST = {
    "api.TestQueue.test_pending_scheduled_unregistered",
    "api.TestQueue.test_read_schedule",
    "api.TestQueue.test_reschedule",
    "api.TestQueue.test_schedule_s",
    "api.TestQueue.test_scheduling",
    "api.TestQueue.test_scheduling_expires",
    "api.TestDecorators.test_task_id",
    "api.TestChordPrimitive.test_chord_scheduling",
    "api.TestStorageWrappers.test_storage_wrappers",
    "consumer.TestConsumerIntegration.test_consumer_schedule_task",
    "priority.TestPriority.test_schedule_priority",
    "signals.TestSignals.test_signals_simple",
    "sql_huey.TestSqlStorage.test_sql_huey_basic",
}
MODULES = (
    "api",
    "consumer",
    "crontab",
    "immediate",
    "priority",
    "registry",
    "serializer",
    "signals",
    "sql_huey",
    "storage",
    "wrappers",
)

os.environ["HUEY_SLOW_TESTS"] = "1"  # read when its modules are imported
base = importlib.import_module("huey.tests.base")
modules = {name: importlib.import_module(f"huey.tests.test_{name}") for name in MODULES}
del os.environ["HUEY_SLOW_TESTS"]

EMPTY = "; ".join(
    f"delete from {table}"
    for table in (
        *("huey.job", "huey.result", "huey.counter", "huey.lock", "huey.flow", "huey.flow_total", "huey.chord_member"),
        *("huey.tick", "huey.consumer", "huey.job_attempt", "worker_failed_jobs"),
    )
)


class SuiteHuey(SkeldirHuey):
    """Ours where Huey's tests say MemoryHuey: with the options that they expect to be Huey's defaults."""

    made: list[SuiteHuey] = []  # noqa: RUF012

    def __init__(self, name: str = "suite", immediate: bool = False, **options: Any) -> None:
        super().__init__(name, **{"store_none": False} | options)
        allow_immediate(self)
        self.immediate = immediate
        self.made.append(self)


class QueuedFirst(SuiteHuey):
    """Puts every job into the queue, also before its eta."""

    def row_of(self, task: Any, **options: Any) -> dict[str, Any]:
        return super().row_of(task, **options) | {"run_at": None}


def kinds() -> Iterator[tuple[str, type[unittest.TestCase]]]:
    for name, module in modules.items():
        if name == "storage":
            yield "storage.StorageTests", type("StorageTests", (module.StorageTests, base.BaseTestCase), {})
        elif name == "sql_huey":
            own = {key: value for key, value in vars(module.TestSqlStorage).items() if key.startswith("test")}
            del own["test_consumer_integration"]  # empties an inherited one
            yield "sql_huey.TestSqlStorage", type("TestSqlStorage", (base.BaseTestCase,), own)
        else:
            classes = [kind for kind in vars(module).values() if isinstance(kind, type)]
            for kind in classes:
                if issubclass(kind, unittest.TestCase) and kind.__module__ == module.__name__:
                    yield f"{name}.{kind.__name__}", kind


def names_of(kind: type[unittest.TestCase]) -> list[str]:
    return [name for name in dir(kind) if name.startswith("test")]


def ours(label: str, kind: type[unittest.TestCase]) -> type[unittest.TestCase]:
    """Return Huey's test class on our instance and, where it does not bring its own, our consumer."""
    changes: dict[str, Any] = dict.fromkeys(
        (name for name in names_of(kind) if f"{label}.{name}" in DIFFERENT),
    )
    if getattr(kind, "get_huey", None) is base.BaseTestCase.get_huey:
        changes["get_huey"] = lambda self: (
            QueuedFirst if f"{label}.{self._testMethodName}" in QUEUED_FIRST else SuiteHuey
        )(utc=False)
    if getattr(kind, "consumer_class", None) is Consumer:
        changes["consumer_class"] = SkeldirConsumer
    return type(label.replace(".", "_"), (kind,), changes)


globals().update({f"Test_{label.replace('.', '_')}": ours(label, kind) for label, kind in kinds()})


def test_every_difference_is_a_test_of_huey() -> None:
    names = {f"{label}.{name}" for label, kind in kinds() for name in names_of(kind)}
    assert set(DIFFERENT) | QUEUED_FIRST <= names
    assert len(names) > 200


@pytest.fixture(scope="module")
def one_database(cluster: Cluster) -> Iterator[Database]:
    with copy_of_template(cluster) as made, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")  # its tests compare with the host's naive time
        time.tzset()
        point_at(made, patch)
        yield made
    time.tzset()


@pytest.fixture(autouse=True)
def _clean(one_database: Database, json_log: JsonLog, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    immediate = modules["immediate"]
    for module in (modules["api"], immediate):
        monkeypatch.setattr(module, "MemoryHuey", SuiteHuey)
    no_use = {"get_storage": immediate.NoUseHuey.get_storage}
    monkeypatch.setattr(immediate, "NoUseHuey", type("NoUseHuey", (SuiteHuey,), no_use))
    # Its storage that must not be touched, for the way in which ours is.
    monkeypatch.setattr(immediate.NoUseStorage, "enqueue_row", immediate.NoUseStorage.enqueue, raising=False)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    while SuiteHuey.made:
        huey = SuiteHuey.made.pop()
        huey.close_process()
        huey.storage.close()
    one_database.query(EMPTY)
