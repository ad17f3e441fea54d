"""A pause that begins while jobs run: these go on, and if they come back, they wait like the others."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import transaction
from skeldir_huey.queue import control
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.rescue import Rescuer
from tests import work
from tests.cluster import Database
from tests.factories import make_tenant

RunAll = Callable[[], int]


@pytest.fixture
def tenant(database: Database, huey: SkeldirHuey) -> UUID:
    return make_tenant(database, "alpha")


def as_queue() -> AbstractContextManager[Connection]:
    return transaction(None, role="app_rw")


def fail(database: Database, huey: SkeldirHuey, task: Any) -> None:
    huey.execute(task)


def give_back(database: Database, huey: SkeldirHuey, task: Any) -> None:
    assert huey.storage.release([task.claim])


def release(database: Database, huey: SkeldirHuey, task: Any) -> None:
    """An operator gives it to another worker."""
    with transaction(task.claim.tenant_id, who="console", role="console_tenant") as connection:
        found = control.release_running(connection, task.id, task.claim.token, "stuck")
    assert found is not None and found["released"]


def die(database: Database, huey: SkeldirHuey, task: Any) -> None:
    database.query("update huey.job set consumer_id = %s", (str(uuid.uuid4()),))
    database.query("update huey.job set claimed_at = now() - interval '1 hour'")
    assert Rescuer(huey).sweep() == 1


@pytest.mark.parametrize("what", ["task", "tenant"])
@pytest.mark.parametrize("back", [fail, give_back, release, die])
def test_a_job_that_comes_back_into_a_pause_waits(
    database: Database, huey: SkeldirHuey, tenant: UUID, run_all: RunAll, back: Callable[..., None], what: str
) -> None:
    """Seen before: only those that waited when the pause began were held; its next attempt ran."""
    of = {"task_name": "test.failing_effect"} if what == "task" else {"tenant_id": tenant}
    work.failing_effect("x", tenant_id=tenant)
    task = huey.dequeue()
    with as_queue() as connection:
        control.pause(connection, "ingest", by="dana", reason="wrong file", **of)
    back(database, huey, task)
    assert database.query("select state, held from huey.job") == [("waiting", True)]
    assert run_all() == 0
    with as_queue() as connection:
        control.resume(connection, "ingest", **of)
    assert run_all() > 0


@pytest.mark.parametrize("back", [fail, give_back, release, die])
def test_a_pause_that_is_over_holds_nothing(
    database: Database, huey: SkeldirHuey, tenant: UUID, back: Callable[..., None]
) -> None:
    work.failing_effect("x", tenant_id=tenant)
    task = huey.dequeue()
    with as_queue() as connection:
        control.pause(connection, "ingest", by="dana", reason="x", tenant_id=tenant)
        control.resume(connection, "ingest", tenant_id=tenant)
    back(database, huey, task)
    assert database.query("select state, held from huey.job") == [("waiting", False)]
