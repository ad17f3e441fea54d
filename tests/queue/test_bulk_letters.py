"""Operations on many dead letters: each letter once, whoever else is at work, and never more than was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from skeldir_huey.db.engine import transaction
from skeldir_huey.main import huey as product
from skeldir_huey.queue.dead_letters import replay
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.letter_filter import LetterFilter
from skeldir_huey.tasks import bulk
from tests.cluster import Database
from tests.factories import make_tenant

RunAll = Callable[[], int]
PING = "skeldir.housekeeping.ping"


def add_letters(database: Database, tenant: UUID | None, count: int, **columns: Any) -> None:
    """Insert letters of pings, one second apart, the newest an hour old."""
    values = {"task_name": PING, "fingerprint": "0a1b2c3d", "error_message": "boom"} | columns
    message = product.serialize_task(product._registry.string_to_task(PING)((), {"tenant_id": tenant}))
    names = ", ".join(values)
    database.query(
        f"insert into worker_failed_jobs (tenant_id, task_id, queue, error_type, message, failed_at, {names})"
        " select %(tenant)s, gen_random_uuid()::text, 'housekeeping', 'permanent', %(message)s,"
        f" now() - interval '1 hour' - n * interval '1 second', {', '.join(f'%({name})s' for name in values)}"
        " from generate_series(1, %(count)s) n",
        {"tenant": tenant and str(tenant), "message": message, "count": count} | values,
    )


def add_operation(database: Database, verb: str = "replay", tenant: UUID | None = None, **asked: Any) -> UUID:
    """Freeze a filter as the console does, and enqueue the first step."""
    wanted = LetterFilter(status="abandoned" if verb == "reopen" else "pending", **asked)
    shares = [
        {"tenant_id": one and str(one), "item_count": count}
        for one, count in database.query(
            "select tenant_id, count(*) from worker_failed_jobs where status = %s and (fingerprint = %s or %s = '')"
            " group by 1",
            (wanted.status, wanted.fingerprint, wanted.fingerprint),
        )
    ]
    made: UUID = UUID(
        str(
            database.value(
                "insert into huey.bulk_operation (tenant_id, verb, state, filter, drafted_at, cutoff_at, cutoff_id,"
                " item_count, shares, created_by, reason) values (%s, %s, 'running', %s, clock_timestamp(),"
                " clock_timestamp(), 'ffffffff-ffff-ffff-ffff-ffffffffffff', %s, %s, 'ann', 'the fix is out')"
                " returning id",
                (
                    tenant and str(tenant),
                    verb,
                    json.dumps(wanted.as_json()),
                    sum(share["item_count"] for share in shares),
                    json.dumps(shares),
                ),
            )
        )
    )
    start(made)
    return made


def start(operation: UUID) -> None:
    with transaction(None, who="console", role="console_global") as connection:
        bulk.start_in(connection, operation)


def counts(database: Database, operation: UUID) -> tuple[Any, ...]:
    (found,) = database.query(
        "select o.state, sum(done_count)::int, sum(failed_count)::int, jsonb_agg(s.skipped order by s.id)"
        " from huey.bulk_operation o join huey.bulk_share s on s.operation_id = o.id where o.id = %s group by o.id",
        (str(operation),),
    )
    return found


@pytest.fixture
def tenants(database: Database, huey: SkeldirHuey) -> tuple[UUID, UUID]:
    return make_tenant(database, "alpha"), make_tenant(database, "beta")


def test_a_thousand_are_queued_once_each_and_what_changed_is_skipped(
    database: Database, tenants: tuple[UUID, UUID], run_all: RunAll
) -> None:
    alpha, beta = tenants
    add_letters(database, alpha, 600)
    add_letters(database, beta, 390)
    add_letters(database, None, 10)
    operation = add_operation(database)
    for tenant, limit in ((alpha, 4), (beta, 3)):
        for (letter,) in database.query(
            "select id from worker_failed_jobs where tenant_id = %s limit %s", (str(tenant), limit)
        ):
            with transaction(tenant, who="console", role="console_tenant") as connection:
                replay(connection, UUID(str(letter)))
    run_all()
    state, done, failed, skipped = counts(database, operation)
    assert (state, done, failed) == ("done", 993, 0)
    assert sum(part.get("already replayed", 0) for part in skipped) == 7
    assert database.value("select count(*) from worker_failed_jobs where status = 'resolved'") == 1000
    assert database.value(f"select count(*) from huey.job_attempt where task_name = '{PING}'") == 1000
    assert database.value("select count(*) from huey.bulk_item where result = 'done'") == 993


def test_letters_that_come_later_are_left_alone(
    database: Database, tenants: tuple[UUID, UUID], run_all: RunAll
) -> None:
    add_letters(database, tenants[0], 3)
    operation = add_operation(database)
    database.query("update huey.bulk_operation set cutoff_at = now() - interval '30 minutes'")
    database.query(
        "update worker_failed_jobs set failed_at = now() where id = (select min(id::text)::uuid from"
        " worker_failed_jobs)"
    )
    run_all()
    assert counts(database, operation) == ("done", 2, 0, [{"changed since": 1}])
    assert database.value("select count(*) from worker_failed_jobs where status = 'pending'") == 1


def test_a_filter_names_what_is_meant(database: Database, tenants: tuple[UUID, UUID], run_all: RunAll) -> None:
    add_letters(database, tenants[0], 3)
    add_letters(database, tenants[0], 4, fingerprint="ffffffff")
    operation = add_operation(database, fingerprint="ffffffff")
    run_all()
    assert counts(database, operation)[:3] == ("done", 4, 0)
    assert (
        database.value("select count(*) from worker_failed_jobs where fingerprint = '0a1b2c3d' and status = 'pending'")
        == 3
    )


def test_a_task_that_is_gone_fails_with_its_reason(
    database: Database, tenants: tuple[UUID, UUID], run_all: RunAll
) -> None:
    add_letters(database, tenants[0], 2)
    add_letters(database, tenants[0], 2, task_name="skeldir.was.here")
    operation = add_operation(database)
    run_all()
    assert counts(database, operation)[:3] == ("done", 2, 2)
    assert database.query("select distinct detail from huey.bulk_item where result = 'failed'") == [
        ("task no longer exists",)
    ]
    assert database.value("select count(*) from worker_failed_jobs where status = 'pending'") == 2


def test_pause_stops_between_two_batches_and_going_on_finishes(
    database: Database, tenants: tuple[UUID, UUID], huey: SkeldirHuey, run_all: RunAll
) -> None:
    add_letters(database, tenants[0], 450)
    operation = add_operation(database)
    step = huey.task_of(huey.storage.dequeue())
    huey.execute(step)
    database.query("update huey.bulk_operation set state = 'paused'")
    run_all()
    assert counts(database, operation)[:2] == ("paused", 200)
    database.query("update huey.bulk_operation set state = 'running'")
    start(operation)
    start(operation)
    assert database.value("select count(*) from huey.job where task_name = %s", (bulk.BULK_STEP,)) == 1
    run_all()
    assert counts(database, operation)[:2] == ("done", 450)


def test_abandon_and_its_undo(database: Database, tenants: tuple[UUID, UUID], run_all: RunAll) -> None:
    add_letters(database, tenants[0], 5)
    abandoned = add_operation(database, "abandon")
    run_all()
    assert counts(database, abandoned)[:2] == ("done", 5)
    add_letters(database, tenants[0], 2, status="abandoned")
    undo = add_operation(database, "reopen")
    database.query("update huey.bulk_operation set source_id = %s where id = %s", (str(abandoned), str(undo)))
    run_all()
    assert counts(database, undo)[1] == 5
    assert database.query("select status, count(*)::int from worker_failed_jobs group by 1 order by 1") == [
        ("abandoned", 2),
        ("pending", 5),
    ]


def test_a_step_that_dies_stops_the_operation(
    database: Database, tenants: tuple[UUID, UUID], run_all: RunAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_letters(database, tenants[0], 1)
    monkeypatch.setattr(bulk.bulk_letters, "step", lambda *args: 1 / 0)
    monkeypatch.setattr(bulk.bulk_step.task_class, "default_retries", 0)
    add_operation(database)
    run_all()
    assert database.query("select state, last_error from huey.bulk_operation") == [("stopped", "division by zero")]
