"""A running job that an operator gives to another worker: it ends once, however late the first worker finishes."""

from __future__ import annotations

from pathlib import Path

from skeldir_huey.db.engine import transaction
from skeldir_huey.queue import control
from tests import work
from tests.cluster import Database
from tests.e2e.conftest import StartConsumer
from tests.factories import make_tenant
from tests.waiting import until

JOB = "select claim_token, consumer_id, state from huey.job where task_name = 'test.patient_effect'"


def test_a_released_job_ends_once_and_its_first_worker_changes_nothing(
    database: Database, start_consumer: StartConsumer, tmp_path: Path
) -> None:
    tenant, gate = make_tenant(database, "alpha"), tmp_path / "gate"
    first = start_consumer()
    result = work.patient_effect("e", str(gate), tenant_id=tenant)
    until(lambda: Path(f"{gate}.started").exists(), 30)
    claim, holder, state = database.query(JOB)[0]
    assert state == "running"
    with transaction(tenant, role="console_tenant", who="console") as connection:
        released = control.release_running(connection, result.id, claim, "taken from its worker by an operator")
        again = control.release_running(connection, result.id, claim, "a second click")
    assert released and released["released"] and again and not again["released"]
    start_consumer()
    until(lambda: database.query(JOB)[0][2] == "running", 30)
    assert database.query(JOB)[0][1] != holder, "another worker has it"
    gate.touch()
    until(lambda: bool(first.events("job_fenced")) and not database.query(JOB), 30)
    assert database.query("select marker from test_effect") == [("e",)]
    history = database.query(
        "select outcome, attempt, ended from huey.job_attempt where task_id = %s order by ended_at", (result.id,)
    )
    assert history == [("released", 1, False), ("done", 1, True)], "a release is not counted"
    assert database.value("select count(*) from worker_failed_jobs") == 0
