"""The fence: whoever lost a claim changes nothing any more, however late it finishes. With the mutants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from huey.api import Task
from sqlalchemy.engine import Connection

from skeldir_huey.queue import settle as settlement
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.jobs import Job, commit
from tests import work
from tests.cluster import Database
from tests.factories import make_tenant

Mutate = Callable[[str, str, str], None]
RunAll = Callable[[], int]


@pytest.fixture
def tenant(database: Database, huey: SkeldirHuey) -> UUID:
    return make_tenant(database, "alpha")


def effects(database: Database) -> int:
    return int(database.value("select count(*) from test_effect"))


def rescued_while_running(huey: SkeldirHuey) -> tuple[Task, Task]:
    """Return the same job claimed by a frozen worker and, after its rescue, by a living one."""
    frozen = huey.dequeue()
    assert frozen is not None
    huey.storage.run(work.release, {"ids": [frozen.claim.id], "tokens": [frozen.claim.token]})
    living = huey.dequeue()
    assert living is not None and living.id == frozen.id and living.claim.token != frozen.claim.token
    return frozen, living


def frozen_worker_finishes_first(huey: SkeldirHuey, tenant: UUID) -> None:
    work.effect("e", tenant_id=tenant)
    frozen, living = rescued_while_running(huey)
    huey.execute(frozen)
    huey.execute(living)


def test_a_late_finish_changes_nothing(database: Database, huey: SkeldirHuey, tenant: UUID) -> None:
    frozen_worker_finishes_first(huey, tenant)
    assert effects(database) == 1
    assert database.query("select outcome from huey.job_attempt") == [("done",)]


def test_a_step_of_a_lost_job_is_not_committed(database: Database, huey: SkeldirHuey, tenant: UUID) -> None:
    work.two_steps("s", tenant_id=tenant)
    frozen, living = rescued_while_running(huey)
    huey.execute(frozen)
    assert effects(database) == 0
    huey.execute(living)
    assert database.query("select marker from test_effect") == [("s 1",)]


def test_mutant_settlement_without_fence_doubles_the_effect(
    database: Database, huey: SkeldirHuey, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settlement, "_end_row", lambda connection, job, outcome: True)
    frozen_worker_finishes_first(huey, tenant)
    assert effects(database) == 2, "the mutant survived: test_a_late_finish_changes_nothing cannot fail"


def test_mutant_step_without_token_doubles_the_step(
    database: Database, huey: SkeldirHuey, tenant: UUID, mutate: Mutate
) -> None:
    mutate("fence", "and claim_token = %(token)s", "and %(token)s::uuid is not null")
    work.two_steps("s", tenant_id=tenant)
    frozen, living = rescued_while_running(huey)
    huey.execute(frozen)
    huey.execute(living)
    assert effects(database) == 2, "the mutant survived: test_a_step_of_a_lost_job_is_not_committed cannot fail"


def cut_before_settlement(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    """Run one job whose database session ends once, after the task function and before its settlement."""
    cuts = iter([True])

    def cut(task: Task, value: object, error: BaseException | None) -> None:
        if next(cuts, False):
            database.query(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where usename = 'app_user' and state = 'idle in transaction'"
            )

    huey.post_execute("cut")(cut)
    try:
        task = huey.dequeue()
        assert task is not None
        huey.execute(task)
    finally:
        huey.unregister_post_execute("cut")
    row = huey.storage.run("select id, claim_token from huey.job")
    if row:  # what the sweep does a second later
        huey.storage.run(work.release, {"ids": [row[0]["id"]], "tokens": [row[0]["claim_token"]]})
    run_all()


def test_effect_and_acknowledgement_are_lost_or_kept_together(
    database: Database, huey: SkeldirHuey, tenant: UUID, run_all: RunAll
) -> None:
    work.effect("e", tenant_id=tenant)
    cut_before_settlement(database, huey, run_all)
    assert effects(database) == 1
    assert database.query("select outcome from huey.job_attempt") == [("done",)]


def test_mutant_settlement_in_a_second_transaction_doubles_the_effect(
    database: Database, huey: SkeldirHuey, tenant: UUID, run_all: RunAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Job.transaction

    @contextmanager
    def commits_at_once(self: Job, commit_now: bool = False) -> Iterator[Connection]:
        with real(self, commit_now) as connection:
            yield connection
        commit(connection)
        connection.begin()
        connection.exec_driver_sql("select 1")  # a session in a transaction, as the cut looks for

    monkeypatch.setattr(Job, "transaction", commits_at_once)
    work.effect("e", tenant_id=tenant)
    cut_before_settlement(database, huey, run_all)
    assert effects(database) == 2, "the mutant survived: the test above cannot fail"
