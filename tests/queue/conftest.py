"""The queue in this process, on a real database: jobs are run by hand, or by a consumer's threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from skeldir_huey.queue import storage
from skeldir_huey.queue.executor import SkeldirHuey
from tests import work
from tests.cluster import Database


@pytest.fixture
def huey(database: Database) -> Iterator[SkeldirHuey]:
    """The product's instance with the tests' tasks, on this test's database."""
    database.query(work.EFFECT_TABLE)
    work.huey.storage.new_identity()
    yield work.huey
    work.huey.close_process()
    work.huey.storage.close()


@pytest.fixture
def run_all(huey: SkeldirHuey) -> Callable[[], int]:
    """Run waiting jobs one after the other until none is left; returns how many."""

    def run() -> int:
        count = 0
        while (data := huey.storage.dequeue()) is not None:
            task = huey.task_of(data)
            if task is not None:
                huey.execute(task)
            count += 1
        return count

    return run


@pytest.fixture
def mutate(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Change a statement of the queue, to show that a test fails without its protection."""
    original = storage.sql
    changes: dict[str, list[tuple[str, str]]] = {}

    def changed(package: str, name: str) -> str:
        text = str(original(package, name))
        for old, new in changes.get(name, []):
            assert old in text, f"{name}.sql no longer has {old!r}: the mutant is out of date"
            text = text.replace(old, new)
        return text

    def change(name: str, old: str, new: str) -> None:
        changes.setdefault(name, []).append((old, new))
        monkeypatch.setattr(storage, "sql", changed)

    return change
