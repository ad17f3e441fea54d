"""A consumer whose DATABASE_URL leads through PgBouncer in transaction mode, with and without a direct way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psycopg2
import pytest
import sqlalchemy as sa

from skeldir_huey.db import engine
from tests import work
from tests.cluster import Database
from tests.conftest import program
from tests.e2e.conftest import StartConsumer
from tests.e2e.test_deaths import RUNS_AGAIN_WITHIN_S, at_the_gate, closed_gate, effects
from tests.factories import make_event, make_tenant
from tests.processes import free_ports
from tests.queue.test_pool import THREADS, TRANSACTIONS, ask
from tests.test_doctor import doctor
from tests.waiting import until

pytestmark = pytest.mark.pgbouncer

CONFIG = """
[databases]
* = host={socket} port=5432
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = {size}
ignore_startup_parameters = extra_float_digits
"""


@pytest.fixture
def pooler(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of the worker's login through a pooler with 4 sessions, or as many as the test's parameter says."""
    size = getattr(request, "param", 4)
    (port,) = free_ports(1)
    users, config = tmp_path / "users.txt", tmp_path / "pgbouncer.ini"
    users.write_text('"app_user" ""\n')
    config.write_text(CONFIG.format(socket=database.socket_dir, port=port, users=users, size=size))
    for path in (tmp_path, users, config, *tmp_path.parents):
        if path.stat().st_uid == os.geteuid():
            path.chmod(path.stat().st_mode | 0o055)  # it refuses to run as root, so another user reads these
    command = [str(program("pgbouncer")), *(["-u", "nobody"] if os.geteuid() == 0 else []), str(config)]
    with (tmp_path / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"postgresql+psycopg2://app_user@127.0.0.1:{port}/{database.name}"

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "pgbouncer.log").read_text()
        try:
            psycopg2.connect(url.replace("+psycopg2", ""), connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    until(answers, 30, (tmp_path / "pgbouncer.log").read_text)
    yield url
    process.kill()  # newer ones wait for their clients at a SIGTERM
    process.wait()


@pytest.fixture
def tenant(database: Database) -> UUID:
    return make_tenant(database, "alpha")


def test_jobs_run_and_a_death_is_noticed_as_fast_as_without_a_pooler(
    database: Database, pooler: str, start_consumer: StartConsumer, tenant: UUID
) -> None:
    settings = {"DATABASE_URL": pooler, "DATABASE_DIRECT_URL": database.url("app_user")}
    settings["SKELDIR_FROZEN_AFTER_S"] = "600"  # it is not the heartbeat that tells
    first = start_consumer(**settings)
    with closed_gate(database):
        work.gated_effect("e", tenant_id=tenant)
        until(lambda: at_the_gate(database), 30, first.log.read_text)
        first.end(signal.SIGKILL)
    second = start_consumer(**settings)
    until(lambda: effects(database) == 1, RUNS_AGAIN_WITHIN_S, second.log.read_text)
    assert second.events("notify_unavailable") == []


def test_a_direct_url_that_is_a_pooler_is_found_out(
    database: Database, pooler: str, start_consumer: StartConsumer, tenant: UUID
) -> None:
    """LISTEN through a pooler is accepted and nothing arrives; two clients get the same session lock."""
    consumer = start_consumer(DATABASE_URL=pooler, DATABASE_DIRECT_URL=pooler)
    assert len(consumer.events("notify_unavailable")) == 1
    work.effect("e", tenant_id=tenant)
    until(lambda: effects(database) == 1, 30, consumer.log.read_text)
    assert database.value("select bool_and(not holds_lock) from huey.consumer")


def test_without_a_direct_url_the_heartbeat_tells_life_from_death(
    database: Database, pooler: str, start_consumer: StartConsumer, tenant: UUID
) -> None:
    settings = {
        "DATABASE_URL": pooler,
        "DATABASE_DIRECT_URL": "",
        "SKELDIR_HEARTBEAT_S": "1",
        "SKELDIR_FROZEN_AFTER_S": "4",
    }
    first = start_consumer(**settings)
    assert len(first.events("no_direct_url")) == 1
    with closed_gate(database):
        work.gated_effect("e", tenant_id=tenant)
        until(lambda: at_the_gate(database), 30)
        first.end(signal.SIGKILL)
        database.query("select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock'")
    second = start_consumer(**settings)
    until(lambda: effects(database) == 1, 30, second.log.read_text)


def test_doctor_says_that_listen_does_not_work(database: Database, pooler: str, env: dict[str, str]) -> None:
    """Three ways: past the pooler it delivers, through it it stays silent, and with no direct URL nobody asks."""
    states: list[tuple[str, str]] = []
    for direct in (database.url("app_user"), pooler, ""):
        _, out = doctor(env | {"DATABASE_URL": pooler, "DATABASE_DIRECT_URL": direct}, "--json")
        (found,) = [check for check in json.loads(out)["checks"] if check["name"] == "notify"]
        states.append((found["state"], found["meaning"]))
        assert found["advice"] or found["state"] == "ok"
    (good, delivered), (bad, silent), (warn, unset) = states
    assert (good, bad, warn) == ("ok", "bad", "warn")
    assert "LISTEN delivers" in delivered and "leads through a pooler" in silent and "not set" in unset


@pytest.mark.parametrize("pooler", [2], indirect=True)
def test_no_transaction_of_the_pool_sees_another_tenant(database: Database, pooler: str) -> None:
    """Seen with a session SET through the same pooler: 2,019 of 4,000 answers were another tenant's."""
    tenants = {make_tenant(database, f"tenant-{n}"): n for n in range(1, 5)}
    for tenant, count in tenants.items():
        for _ in range(count):
            make_event(database, tenant)
    engine.use_engine("worker", sa.create_engine(pooler, pool_size=THREADS, max_overflow=0))
    assert ask(tenants) == {True: TRANSACTIONS}
    sessions = "select count(*) from pg_stat_activity where usename = 'app_user' and datname = current_database()"
    assert database.value(sessions) <= 2, "16 clients shared two sessions"
