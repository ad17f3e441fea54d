"""The queue against its model, on a real database; and the mutants that the model must find.

For more of it: MODEL_EXAMPLES=20000.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from huey import crontab
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy.engine import Connection

from skeldir_huey.queue import cron, rescue
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.jobs import Job, commit
from skeldir_huey.tasks.base import periodic, tenant_task, transaction
from tests.cluster import Database
from tests.conftest import in_ci
from tests.factories import make_tenant
from tests.queue.model import MINUTELY, QueueMachine
from tests.queue.model_world import World

Mutate = Callable[[str, str, str], None]

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "300"))


@pytest.fixture
def machine(huey: SkeldirHuey, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[QueueMachine]]:
    world = World(huey, database, make_tenant(database, "alpha"))

    def step(has_child: bool, *, tenant_id: UUID, task: Any) -> None:
        with transaction() as connection:
            connection.exec_driver_sql("insert into test_effect values (%s, %s)", (tenant_id, task.id))
        if has_child:
            world.child = world.step(False, tenant_id=tenant_id).id
        if world.fault is not None:
            raise world.fault

    def minutely() -> None:
        if world.fault is not None:
            raise world.fault

    world.step = tenant_task(name="model.step", lane="ingest", context=True)(step)
    tick = periodic(crontab(), name=MINUTELY, lane="ingest")(minutely)
    others = [kind for kind in huey._registry._periodic_tasks if kind is not tick.task_class]
    monkeypatch.setattr(huey._registry, "_periodic_tasks", [tick.task_class])
    monkeypatch.setattr(rescue, "GRACE_S", 0.0)
    logging.disable(logging.CRITICAL)
    yield type("TheMachine", (QueueMachine,), {"world": world})
    logging.disable(logging.NOTSET)
    monkeypatch.undo()
    huey._registry._periodic_tasks[:] = [*others, tick.task_class]
    tick.unregister()
    world.step.unregister()
    world.connection.close()


def run(machine: type[QueueMachine], *phases: Phase) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            derandomize=in_ci() or bool(phases),
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=phases or tuple(Phase),
        ),
    )


@pytest.mark.timeout(60 + EXAMPLES)
def test_the_queue_does_what_the_model_says(machine: type[QueueMachine]) -> None:
    run(machine)


def found(machine: type[QueueMachine]) -> str:
    """Run the machine on a mutant; return what it found."""
    with pytest.raises(AssertionError) as raised:
        run(machine, Phase.generate)
    return str(raised.value)


@pytest.mark.parametrize("name", ["settle_end", "settle_again"])
def test_mutant_without_fence_is_found(machine: type[QueueMachine], mutate: Mutate, name: str) -> None:
    mutate(name, "and j.claim_token = %(token)s", "and %(token)s is not null")
    assert found(machine)


def test_mutant_without_fence_in_the_batch_is_found(machine: type[QueueMachine], mutate: Mutate) -> None:
    mutate("settle_done", "j.id = o.id and j.claim_token = o.token", "j.id = o.id")
    assert found(machine)


def test_mutant_acknowledged_in_another_transaction_is_found(
    machine: type[QueueMachine], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Job.transaction

    @contextmanager
    def commits_at_once(self: Job, commit_now: bool = False) -> Iterator[Connection]:
        with real(self, commit_now) as connection:
            yield connection
        commit(connection)
        connection.begin()

    monkeypatch.setattr(Job, "transaction", commits_at_once)
    assert "effects, each once" in found(machine)


def test_mutant_without_tick_key_and_row_is_found(machine: type[QueueMachine], monkeypatch: pytest.MonkeyPatch) -> None:
    def as_stock_huey_does(huey: SkeldirHuey, task: Any, name: str, now: dt.datetime) -> int:
        huey.enqueue(type(task)())
        return 1

    monkeypatch.setattr(cron, "_tick_one", as_stock_huey_does)
    assert "jobs for one minute" in found(machine)


def test_mutant_lease_by_time_is_found(machine: type[QueueMachine], monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that runs out while its holder works: here at the first sweep."""
    monkeypatch.setattr(rescue.Rescuer, "_lock_free_long_enough", lambda self, consumer_id: True)
    assert found(machine)
