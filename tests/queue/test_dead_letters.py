"""Dead letters: exactly one per dead job, replayed once however often it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import Conflict, NotFound
from skeldir_huey.queue.dead_letters import replay
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.fingerprint import fingerprint
from tests import work
from tests.cluster import Database
from tests.factories import make_tenant

RunAll = Callable[[], int]


@pytest.fixture
def tenant(database: Database, huey: SkeldirHuey) -> UUID:
    return make_tenant(database, "alpha")


@pytest.fixture
def letter(database: Database, tenant: UUID, run_all: RunAll) -> UUID:
    """The pending letter of a job that fails while the table `test_broken` is there."""
    database.query("create table test_broken (); grant select on test_broken to app_user")
    work.fails_while_broken("e", tenant_id=tenant)
    run_all()
    return UUID(str(database.value("select id from worker_failed_jobs")))


def replay_as(tenant: UUID, letter: UUID) -> str:
    with transaction(tenant, who="console", role="console_tenant") as connection:
        return replay(connection, letter)


def state(database: Database) -> list[tuple[object, ...]]:
    return database.query("select status, retry_count, resolved_at is not null from worker_failed_jobs")


def test_replay_that_succeeds_resolves_the_letter(
    database: Database, tenant: UUID, letter: UUID, run_all: RunAll
) -> None:
    database.query("drop table test_broken")
    task_id = replay_as(tenant, letter)
    assert state(database) == [("in_progress", 0, False)]
    correlation = "select correlation_id from huey.job union select correlation_id from worker_failed_jobs"
    assert len(database.query(correlation)) == 1, "the replay keeps the correlation id"
    run_all()
    assert state(database) == [("resolved", 0, True)]
    assert database.value("select replayed_as from worker_failed_jobs") == task_id
    assert database.query("select marker from test_effect") == [("e",)]
    with pytest.raises(Conflict, match="resolved"):
        replay_as(tenant, letter)


def test_replay_that_dies_updates_the_same_letter(
    database: Database, tenant: UUID, letter: UUID, run_all: RunAll
) -> None:
    for count in (1, 2):
        replay_as(tenant, letter)
        run_all()
        assert state(database) == [("pending", count, False)]


def test_replay_has_its_retries_anew(database: Database, tenant: UUID, run_all: RunAll) -> None:
    work.failing_effect("bad", tenant_id=tenant)
    assert run_all() == 3
    replay_as(tenant, UUID(str(database.value("select id from worker_failed_jobs"))))
    assert run_all() == 3


def test_two_operators_replay_once(database: Database, tenant: UUID, letter: UUID) -> None:
    def attempt(_: int) -> str | None:
        try:
            return replay_as(tenant, letter)
        except Conflict:
            return None

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(attempt, range(8)))
    assert sum(answer is not None for answer in answers) == 1
    assert database.value("select count(*) from huey.job") == 1


def test_replay_is_undone_with_its_transaction(database: Database, tenant: UUID, letter: UUID) -> None:
    with pytest.raises(ZeroDivisionError), transaction(tenant, who="console", role="console_tenant") as connection:
        replay(connection, letter)
        raise ZeroDivisionError
    assert state(database) == [("pending", 0, False)]
    assert database.value("select count(*) from huey.job") == 0


def test_foreign_and_unknown_letters_look_the_same(database: Database, letter: UUID) -> None:
    stranger = make_tenant(database, "stranger")
    messages = []
    for wanted in (letter, uuid4()):
        with pytest.raises(NotFound) as caught:
            replay_as(stranger, wanted)
        messages.append(str(caught.value).replace(str(wanted), "ID"))
    assert messages[0] == messages[1]
    assert state(database) == [("pending", 0, False)]


def test_a_resolved_letter_is_final(database: Database, tenant: UUID, letter: UUID, run_all: RunAll) -> None:
    database.query("drop table test_broken")
    replay_as(tenant, letter)
    run_all()
    for status in ("pending", "in_progress", "abandoned"):
        with pytest.raises(Exception, match="cannot go from resolved"):
            database.query(f"update worker_failed_jobs set status = '{status}', resolved_at = null")


def test_secrets_in_arguments_are_redacted_at_every_depth(database: Database, tenant: UUID, run_all: RunAll) -> None:
    work.fails_with({"deep": [{"api_key": "hush-1", "n": 1}]}, tenant_id=tenant, password="hush-2")
    run_all()
    stored = database.value("select task_args::text || task_kwargs::text || error_message from worker_failed_jobs")
    assert "hush" not in stored and '"n": 1' in stored


def test_same_error_with_other_ids_has_the_same_fingerprint() -> None:
    def of(message: str) -> str:
        return fingerprint("t", "ValueError", message, "")

    same = {
        of("order 17 of 'A-1' at 2026-01-02T03:04:05Z is ac4b0f9e-95a4-4c8e-b6b0-1b8a2f9f8c11"),
        of("order 1234 of 'B' at 2025-11-30 23:59:59+02:00 is 00000000-0000-4000-8000-000000000000"),
    }
    assert len(same) == 1
    assert of("order 17 is late") != of("order 17 is early")


def test_undecodable_message_is_kept_then_buried_with_a_letter(
    database: Database, huey: SkeldirHuey, run_all: RunAll
) -> None:
    huey.storage.enqueue(b"\xff\x00 not a message")
    run_all()
    assert database.query("select state, attempt, unknown_since is not null from huey.job") == [("scheduled", 0, True)]
    database.query("update huey.job set state = 'waiting', unknown_since = now() - interval '61 minutes'")
    run_all()
    assert database.query("select error_type, task_name, tenant_id from worker_failed_jobs") == [
        ("unknown_task", "raw", None)
    ]
    assert bytes(database.value("select message from worker_failed_jobs")) == b"\xff\x00 not a message"


def test_unknown_task_waits_for_a_consumer_that_knows_it(
    database: Database, huey: SkeldirHuey, tenant: UUID, run_all: RunAll
) -> None:
    result = work.effect("later", tenant_id=tenant)
    known = huey._registry._registry.pop("test.effect")
    run_all()
    huey._registry._registry["test.effect"] = known
    assert database.query("select state from huey.job") == [("scheduled",)]
    database.query("update huey.job set state = 'waiting'")
    run_all()
    assert result() == "later"
