"""A dump taken in the middle of work, restored elsewhere by the commands of docs/operations.md: the queue goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from skeldir_huey.db.sqlfile import sql
from tests import work
from tests.cluster import Cluster, Database, binaries
from tests.e2e.conftest import StartConsumer
from tests.factories import make_letter, make_tenant
from tests.waiting import until


@pytest.fixture
def restored(cluster: Cluster) -> Iterator[Database]:
    """An empty database to restore into, dropped at the end."""
    made = cluster.database("restored")
    admin = cluster.database("postgres").connect(autocommit=True)
    with admin.cursor() as cursor:
        cursor.execute("drop database if exists restored")
        cursor.execute("create database restored owner skeldir_owner")
        cursor.execute("drop role if exists skeldir_backup")
        cursor.execute("create role skeldir_backup login bypassrls")
        cursor.execute("grant pg_read_all_data to skeldir_backup")
        yield made
        cursor.execute("drop database restored with (force)")
        cursor.execute("drop role skeldir_backup")
    admin.close()


def call(cluster: Cluster, program: str, *arguments: str | Path) -> None:
    done = subprocess.run(
        [binaries(cluster.version) / program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_dump_taken_in_the_middle_goes_on_elsewhere(
    cluster: Cluster, database: Database, restored: Database, start_consumer: StartConsumer, tmp_path: Path
) -> None:
    tenant = make_tenant(database, "alpha")
    make_letter(database, tenant)
    consumer = start_consumer("-w", "1", "-n")  # a minute's jobs could be claimed together with this one
    work.patient_effect("in the middle", str(tmp_path / "go"), tenant_id=tenant)
    until((tmp_path / "go.started").exists, 30)
    for number in range(5):
        work.effect(f"waits {number}", tenant_id=tenant)

    call(cluster, "pg_dump", "-Fc", "-f", tmp_path / "dump", database.dsn("skeldir_backup"))
    consumer.process.kill()
    (tmp_path / "go").touch()
    call(cluster, "pg_restore", "--exit-on-error", "--enable-row-security", "-d", restored.dsn(), tmp_path / "dump")

    assert restored.value("select count(*) from huey.job where state = 'running'") == 1
    second = start_consumer(ready=False, **restored.env)
    until(lambda: restored.value("select count(*) from test_effect") == 6, 30, second.log.read_text)
    assert restored.value("select count(distinct marker) from test_effect") == 6
    assert restored.value("select count(*) from worker_failed_jobs where status = 'pending'") == 1
    test_jobs = "select count(*) from huey.job where task_name like 'test.%%'"
    until(lambda: restored.value(test_jobs) == 0, 30)
    restored.query(work.fold_flow)
    assert {line[-1] for line in restored.query(sql("queue", "ledger"))} == {0}, "the ledger adds up"
    second.end()
