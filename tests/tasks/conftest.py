"""The product's queue in this process, on a real database; jobs are executed by hand, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from skeldir_huey.main import huey as instance
from skeldir_huey.queue.executor import SkeldirHuey
from tests.cluster import Database


@pytest.fixture
def huey(database: Database) -> Iterator[SkeldirHuey]:
    """The product's instance, on this test's database."""
    instance.storage.new_identity()
    yield instance
    instance.close_process()
    instance.storage.close()


@pytest.fixture
def run_all(huey: SkeldirHuey) -> Callable[[], int]:
    """Execute waiting jobs until none is left; returns how many there were."""

    def run() -> int:
        count = 0
        while (data := huey.storage.dequeue()) is not None:
            task = huey.task_of(data)
            if task is not None:
                huey.execute(task)
            count += 1
        return count

    return run
