"""Pauses, caps, the ledger, and the answer to "why is this waiting?"."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from uuid import UUID

import pytest
from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError, NotFound
from skeldir_huey.queue import control
from skeldir_huey.queue.executor import SkeldirHuey
from tests import work
from tests.cluster import Database
from tests.factories import make_tenant
from tests.queue.kept import claim_parameters
from tests.waiting import until

RunAll = Callable[[], int]


@pytest.fixture
def tenants(database: Database, huey: SkeldirHuey) -> tuple[UUID, UUID]:
    return make_tenant(database, "a-tenant"), make_tenant(database, "b-tenant")


def as_queue() -> AbstractContextManager[Connection]:
    return transaction(None, role="app_rw")


def why(task_id: str) -> list[str]:
    with as_queue() as connection:
        reasons: list[str] = control.explain_waiting(connection, task_id)["reasons"]
        return reasons


def test_paused_lane_keeps_its_jobs(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    with transaction(None, who="console", role="console_global") as connection:
        control.pause(connection, "ingest", by="dana", reason="vacuum runs")
    result = work.add(1, 2)
    assert run_all() == 0
    assert any(reason == "paused: lane ingest: vacuum runs" for reason in why(result.id))
    with transaction(None, who="console", role="console_global") as connection:
        control.resume(connection, "ingest")
    assert run_all() == 1


def test_paused_tenant_waits_and_the_other_does_not(
    database: Database, huey: SkeldirHuey, tenants: tuple[UUID, UUID], run_all: RunAll
) -> None:
    a, b = tenants
    before = work.effect("before", tenant_id=a)
    with transaction(a, who="console", role="console_tenant") as connection:
        control.pause(connection, "ingest", tenant_id=a, by="dana", reason="wrong file")
    work.effect("after", tenant_id=a)
    work.effect("other", tenant_id=b)
    assert run_all() == 1
    assert why(before.id)[0].startswith("paused: tenant")
    with transaction(a, who="console", role="console_tenant") as connection:
        control.resume(connection, "ingest", tenant_id=a)
    assert run_all() == 2


def test_paused_task_waits_also_while_its_tenant_is_resumed(
    huey: SkeldirHuey, tenants: tuple[UUID, UUID], run_all: RunAll
) -> None:
    a, _ = tenants
    with as_queue() as connection:
        control.pause(connection, "ingest", task_name="test.effect", by="dana", reason="x")
        control.pause(connection, "ingest", tenant_id=a, by="dana", reason="x")
    work.effect("e", tenant_id=a)
    work.add(1, 1)
    assert run_all() == 1
    with as_queue() as connection:
        control.resume(connection, "ingest", tenant_id=a)
    assert run_all() == 0
    with as_queue() as connection:
        control.resume(connection, "ingest", task_name="test.effect")
    assert run_all() == 1


def test_pause_ends_by_itself(huey: SkeldirHuey, run_all: RunAll) -> None:
    now = dt.datetime.now(dt.UTC)
    with as_queue() as connection:
        control.pause(connection, "ingest", by="d", reason="x", resume_at=now + dt.timedelta(minutes=15))
    work.add(1, 1)
    with as_queue() as connection:
        assert control.resume_due(connection, now) == 0
    assert run_all() == 0
    with as_queue() as connection:
        assert control.resume_due(connection, now + dt.timedelta(minutes=16)) == 1
    assert run_all() == 1


@pytest.mark.parametrize("what", ["lane", "task", "tenant"])
def test_cap_holds_for_consumers_that_claim_at_once(
    database: Database, huey: SkeldirHuey, tenants: tuple[UUID, UUID], what: str
) -> None:
    a, _ = tenants
    with as_queue() as connection:
        if what == "lane":
            control.set_cap(connection, "ingest", 3)
        elif what == "task":
            control.set_cap(connection, "ingest", 3, task_name="test.effect")
        else:
            control.set_share(connection, "ingest", a, cap=3)
    huey.enqueue_many(work.effect.s("x", tenant_id=a) for _ in range(20))

    def claim(_: int) -> int:
        with as_queue() as connection:
            connection.exec_driver_sql(work.claim_gate)
            return len(connection.exec_driver_sql(work.claim, claim_parameters(["ingest"], 2)).all())

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(claim, range(6))) == 3
    waiting = str(database.value("select task_id from huey.job where state = 'waiting' limit 1"))
    assert any(reason.startswith("capped: 3 of 3") for reason in why(waiting))


def test_explanations(huey: SkeldirHuey, run_all: RunAll) -> None:
    work.add(1, 1)
    second = work.add(2, 2)
    reasons = why(second.id)
    assert "no consumer: nobody drains lane ingest" in reasons and "behind 1 job" in reasons
    later = work.add.schedule((1, 1), delay=3600)
    assert any(reason.startswith("not due: runs at ") for reason in why(later.id))
    run_all()
    with pytest.raises(NotFound):
        why(second.id)


def test_every_reason_for_waiting_is_named(
    database: Database, huey: SkeldirHuey, tenants: tuple[UUID, UUID], run_all: RunAll
) -> None:
    """All at once, the strongest first; each of them goes when its cause does."""
    a, _ = tenants
    with as_queue() as connection:
        control.pause(connection, "ingest", by="dana", reason="r1")
        control.pause(connection, "ingest", task_name="test.effect", by="dana", reason="r2")
        control.pause(connection, "ingest", tenant_id=a, by="dana", reason="r3")
        control.set_cap(connection, "ingest", 1)
        control.set_cap(connection, "ingest", 1, task_name="test.effect")
        control.set_share(connection, "ingest", a, cap=1)
    work.effect("runs", tenant_id=a)
    database.query(
        "update huey.job set state = 'running', claim_token = gen_random_uuid(), consumer_id = gen_random_uuid(),"
        " claimed_at = now()"
    )
    later = work.effect.schedule(("later",), {"tenant_id": a}, delay=3600)
    paused = [
        *("paused: lane ingest: r1", "paused: task test.effect: r2", f"paused: tenant {a}: r3"),
    ]
    capped = [f"capped: 1 of 1 allowed jobs of its {what} run" for what in ("lane", "task", "tenant")]
    due, nobody = why(later.id)[3:5]
    assert due.startswith("not due: runs at ") and due.endswith(" UTC")
    assert nobody == "no consumer: nobody drains lane ingest"
    assert why(later.id) == [*paused, due, nobody, *capped]

    huey.open_process({"worker_type": "thread", "worker_count": 1})
    until(lambda: database.value("select count(*) from huey.consumer") == 1, 30)
    assert why(later.id) == [*paused, due, *capped]
    with as_queue() as connection:
        control.resume(connection, "ingest")
        control.resume(connection, "ingest", task_name="test.effect")
        control.resume(connection, "ingest", tenant_id=a)
        control.set_cap(connection, "ingest", None)
        control.set_cap(connection, "ingest", None, task_name="test.effect")
        control.set_share(connection, "ingest", a, cap=None)
    assert why(later.id) == [due]
    huey.storage.run(work.promote, {"now": dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)})
    assert why(later.id) == [], "nothing keeps it: the next worker takes it"
    with transaction(a, who="console", role="console_tenant") as connection:
        assert control.explain_waiting(connection, later.id)["reasons"] == [], "its tenant's operators may ask, too"


def test_a_failed_attempt_is_a_reason(database: Database, huey: SkeldirHuey, tenants: tuple[UUID, UUID]) -> None:
    a, _ = tenants
    result = work.failing_effect("e", tenant_id=a)
    task = huey.dequeue()
    assert task is not None
    huey.execute(task)
    assert "last attempt: e fails after its block" in why(result.id)


def test_a_job_whose_worker_died_says_so(database: Database, huey: SkeldirHuey, tenants: tuple[UUID, UUID]) -> None:
    job = work.effect("x", tenant_id=tenants[0])
    database.query("update huey.job set claim_alone = true")
    assert why(job.id)[-1] == "suspect: its worker died, so it begins in a process that has nothing else to do"


def test_more_than_ten_thousand_ahead(database: Database, huey: SkeldirHuey) -> None:
    huey.enqueue_many(work.add.s(1, 1) for _ in range(10_002))
    last = work.add(2, 2)
    assert "behind more than 10000 jobs" in why(last.id)


def test_what_makes_no_sense_is_refused(tenants: tuple[UUID, UUID]) -> None:
    a, _ = tenants
    with as_queue() as connection:
        for wrong in (
            lambda: control.set_cap(connection, "ingest", 0),
            lambda: control.set_share(connection, "ingest", a, weight=0),
            lambda: control.pause(connection, "ingest", task_name="x", tenant_id=a, by="d", reason="r"),
        ):
            with pytest.raises(InputError):
                wrong()


def gaps(connection_rows: list[dict[str, object]]) -> dict[object, object]:
    return {(row["lane"], row["tenant_id"]): row["gap"] for row in connection_rows}


def ledger() -> list[dict[str, object]]:
    with as_queue() as connection:
        return control.ledger(connection)


def test_ledger_balances_through_every_end_and_shows_a_lost_row(
    database: Database, huey: SkeldirHuey, tenants: tuple[UUID, UUID], run_all: RunAll
) -> None:
    a, b = tenants
    work.effect("done", tenant_id=a)
    work.failing_effect("dead", tenant_id=a)
    work.add(1, 1).revoke()
    work.parent("p", tenant_id=b)
    huey.enqueue(work.add.s(1, 2).then(work.add, 3))
    run_all()
    huey.enqueue_many(work.effect.s("waiting", tenant_id=b) for _ in range(5))
    work.add.schedule((1, 1), delay=60)
    running = huey.dequeue()
    assert running is not None
    before = ledger()
    assert set(gaps(before).values()) == {0}
    of_a = next(row for row in before if row["tenant_id"] == a)
    assert (of_a["enqueued"], of_a["done"], of_a["dead"]) == (2, 1, 1)

    huey.storage.run(work.fold_flow)
    assert database.value("select count(*) from huey.flow") == 0
    assert ledger() == before, "folding changes no number"

    database.query("delete from huey.job where id = (select min(id) from huey.job where state = 'waiting')")
    assert gaps(ledger())[("ingest", b)] == 1, "one row deleted by hand is one job missing"
