"""What dies in the middle of a job, in real processes: nothing is lost, and effects on Postgres happen once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from tests import work
from tests.cluster import Database
from tests.e2e.conftest import ConsumerProcess, StartConsumer
from tests.factories import make_tenant
from tests.waiting import until

RUNS_AGAIN_WITHIN_S = 30  # patience on a loaded machine; tests.chaos measures the promise of 5 s
BY_ITS_LOCK = {"SKELDIR_FROZEN_AFTER_S": "600"}  # a death is noticed without the heartbeat


@pytest.fixture
def tenant(database: Database) -> UUID:
    return make_tenant(database, "alpha")


@contextmanager
def closed_gate(database: Database) -> Iterator[None]:
    """Hold the gate of `gated_effect` closed."""
    connection = database.connect(autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(%s)", (work.GATE,))
        try:
            yield
        finally:
            connection.close()


def at_the_gate(database: Database) -> bool:
    return bool(
        database.value(
            "select count(*) from pg_locks where locktype = 'advisory' and objid = %s and not granted", (work.GATE,)
        )
    )


def effects(database: Database) -> int:
    return int(database.value("select count(*) from test_effect"))


def jobs_left(database: Database) -> int:
    return int(database.value("select count(*) from huey.job where task_name like 'test.%%'"))


def test_kill_9_in_the_middle_of_a_job(database: Database, start_consumer: StartConsumer, tenant: UUID) -> None:
    """Row 1. Seen with a plain SqlHuey, 10 tasks, kill -9 while 4 ran, thread and process workers: 6 done, 4 gone
    without a row.
    """
    first = start_consumer(**BY_ITS_LOCK)
    with closed_gate(database):
        work.gated_effect("e", tenant_id=tenant)
        until(lambda: at_the_gate(database), 30, "the job is in the middle of its transaction")
        # It may have been claimed together with jobs of the clock: then a death counts for those on record as started.
        on_record = "select started_at is not null from huey.job where task_name = 'test.gated_effect'"
        until(lambda: database.value(on_record), 30)
        first.end(signal.SIGKILL)
    assert effects(database) == 0
    second = start_consumer(**BY_ITS_LOCK)
    until(lambda: effects(database) == 1, RUNS_AGAIN_WITHIN_S, second.log.read_text)
    until(lambda: jobs_left(database) == 0, 30)
    assert effects(database) == 1
    history = "select outcome, attempt from huey.job_attempt where task_name = 'test.gated_effect' order by id"
    assert database.query(history) == [("worker_lost", 1), ("done", 2)]


def test_a_living_consumer_takes_over(database: Database, start_consumer: StartConsumer, tenant: UUID) -> None:
    first, _second = start_consumer(**BY_ITS_LOCK), start_consumer(**BY_ITS_LOCK)
    with closed_gate(database):
        work.gated_effect("e", tenant_id=tenant)
        until(lambda: at_the_gate(database), 30)
        holder = UUID(str(database.value("select consumer_id from huey.job where state = 'running'")))
        pid = database.value("select pid from huey.consumer where id = %s", (str(holder),))
        os.kill(pid, signal.SIGKILL)
    until(lambda: effects(database) == 1, RUNS_AGAIN_WITHIN_S)
    assert pid in (first.pid, _second.pid)


def survives(database: Database, consumer: ConsumerProcess) -> bool:
    """Wait until the poison is buried or has killed the consumer; say whether the consumer lives."""

    def decided() -> bool:
        return consumer.process.poll() is not None or database.value("select count(*) from worker_failed_jobs") > 0

    until(decided, 30, lambda: consumer.log.read_text()[-3000:])
    return consumer.process.poll() is None


def test_poison_among_innocents(database: Database, start_consumer: StartConsumer, tenant: UUID) -> None:
    """A job that kills its worker each time is buried after max_deaths; the jobs claimed with it are all done."""
    for number in range(25):
        work.effect(f"before {number}", tenant_id=tenant)
    work.kills_its_worker()
    for number in range(24):
        work.effect(f"after {number}", tenant_id=tenant)
    for _ in range(10):
        if survives(database, start_consumer(ready=False)):
            break
    until(lambda: effects(database) == 49, 30)
    until(lambda: jobs_left(database) == 0, 30)
    assert effects(database) == 49
    assert database.query("select task_name, error_type from worker_failed_jobs") == [
        ("test.kills_its_worker", "worker_lost")
    ]
    assert (
        database.value(
            "select count(*) from huey.job_attempt where task_name = 'test.kills_its_worker' and outcome = 'dead'"
        )
        == 1
    )


def test_poison_beside_innocents_in_the_same_process(
    database: Database, start_consumer: StartConsumer, tenant: UUID
) -> None:
    """Four workers, and a limit of one death: no innocent may have even one, whoever ran beside the poison."""
    for number in range(50):
        if number == 6:
            work.kills_its_worker()
        else:
            work.whose_pid()
    for _ in range(10):
        if survives(database, start_consumer("-w", "4", ready=False, SKELDIR_MAX_DEATHS="1")):
            break
    until(lambda: jobs_left(database) == 0, 30)
    ended = "select task_name, outcome, count(*) from huey.job_attempt where ended group by 1, 2 having count(*) > 0"
    found = [row for row in database.query(ended) if row[0].startswith("test.")]
    assert sorted(found) == [("test.kills_its_worker", "dead", 1), ("test.whose_pid", "done", 49)]
    assert database.query("select task_name, error_type from worker_failed_jobs") == [
        ("test.kills_its_worker", "worker_lost")
    ]


def test_children_do_not_outlive_their_parent(
    database: Database, start_consumer: StartConsumer, tenant: UUID, tmp_path: Path
) -> None:
    consumer = start_consumer("-w", "2", "-k", "process")
    path = tmp_path / "go"
    work.patient_effect("e", str(path), tenant_id=tenant)
    until(lambda: Path(f"{path}.started").exists(), 30)
    children = psutil.Process(consumer.pid).children(recursive=True)
    assert len(children) == 3, "two workers and the scheduler"
    consumer.end(signal.SIGKILL)
    until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children), 30)
    assert effects(database) == 0
    path.touch()
    start_consumer()
    until(lambda: effects(database) == 1, RUNS_AGAIN_WITHIN_S)


@pytest.mark.parametrize("worker_type", ["thread", "process"])
def test_sigterm_gives_back_what_it_cannot_finish(
    database: Database, start_consumer: StartConsumer, tenant: UUID, tmp_path: Path, worker_type: str
) -> None:
    """Row 3. Seen with a plain SqlHuey, SIGTERM while 4 tasks ran: 0 done and no row left, in thread and in process
    mode.
    """
    consumer = start_consumer("-w", "1", "-k", worker_type)
    path = tmp_path / "go"
    work.patient_effect("e", str(path), tenant_id=tenant)
    until(lambda: Path(f"{path}.started").exists(), 30)
    assert consumer.end(signal.SIGTERM) == 0
    state = "select state, attempt from huey.job where task_name like 'test.%%'"
    assert database.query(state) == [("waiting", 0)], "an interrupted attempt is not counted"
    path.touch()
    start_consumer("-w", "1", "-k", worker_type)
    until(lambda: effects(database) == 1, 30)


@pytest.mark.parametrize("worker_type", ["thread", "process"])
def test_sigterm_lets_a_short_job_finish(
    database: Database, start_consumer: StartConsumer, tenant: UUID, tmp_path: Path, worker_type: str
) -> None:
    consumer = start_consumer("-w", "1", "-k", worker_type)
    path = tmp_path / "go"
    work.patient_effect("e", str(path), tenant_id=tenant)
    until(lambda: Path(f"{path}.started").exists(), 30)
    consumer.process.send_signal(signal.SIGTERM)
    until(lambda: "Shutting down gracefully" in consumer.log.read_text(), 30)
    path.touch()
    consumer.process.wait(30)
    assert effects(database) == 1
    assert jobs_left(database) == 0


def test_frozen_consumer_is_rescued_and_its_late_finish_changes_nothing(
    database: Database, start_consumer: StartConsumer, tenant: UUID, tmp_path: Path
) -> None:
    frozen = start_consumer(SKELDIR_FROZEN_AFTER_S="4", SKELDIR_HEARTBEAT_S="1")
    path = tmp_path / "go"
    work.patient_effect("e", str(path), tenant_id=tenant)
    until(lambda: Path(f"{path}.started").exists(), 30)
    os.kill(frozen.pid, signal.SIGSTOP)
    path.touch()
    start_consumer(SKELDIR_FROZEN_AFTER_S="4", SKELDIR_HEARTBEAT_S="1")
    until(lambda: effects(database) == 1, 60)  # how soon is measured by tests.chaos
    os.kill(frozen.pid, signal.SIGCONT)
    until(lambda: frozen.events("job_fenced") or frozen.events("settlement_failed"), 30, frozen.log.read_text)
    assert effects(database) == 1
    assert frozen.process.poll() is None, "it goes on as a consumer"


def test_a_zombie_in_its_transaction_does_not_block_the_new_attempt(
    database: Database, start_consumer: StartConsumer, tenant: UUID, tmp_path: Path
) -> None:
    """Row Z. Seen with a plain SqlHuey, frozen in its transaction: 20 s later another update of its row still waited
    (lock_timeout), no other consumer had the task, and no row of it was left.
    """
    settings = {"SKELDIR_FROZEN_AFTER_S": "4", "SKELDIR_HEARTBEAT_S": "1"}
    frozen = start_consumer(**settings)
    path = tmp_path / "go"
    work.exclusive_effect("e", str(path), tenant_id=tenant)
    until(lambda: Path(f"{path}.started").exists(), 30)
    os.kill(frozen.pid, signal.SIGSTOP)
    path.touch()  # the new attempt goes on as soon as it has the lock that the zombie's session holds
    start_consumer(**settings)
    until(lambda: effects(database) == 1, 60)  # how soon is measured by tests.chaos
    os.kill(frozen.pid, signal.SIGCONT)
    until(lambda: frozen.events("job_fenced") or frozen.events("settlement_failed"), 30, frozen.log.read_text)
    until(lambda: jobs_left(database) == 0, 30)
    assert effects(database) == 1
    assert frozen.process.poll() is None


def test_a_job_whose_session_is_cut_runs_again(database: Database, start_consumer: StartConsumer, tenant: UUID) -> None:
    """The cut of every session, as a restart of the server does it: the consumer recovers, the job is not buried."""
    consumer = start_consumer()
    with closed_gate(database):
        work.gated_effect("e", tenant_id=tenant)
        until(lambda: at_the_gate(database), 30)
        database.query(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = 'app_user' and application_name like 'skeldir:%'"
        )
    until(lambda: effects(database) == 1, 30, consumer.log.read_text)
    until(lambda: jobs_left(database) == 0, 30)
    assert effects(database) == 1
    assert database.value("select count(*) from worker_failed_jobs") == 0


@pytest.mark.parametrize("worker_type", ["thread", "process"])
def test_every_session_of_a_consumer_carries_its_name(
    database: Database, start_consumer: StartConsumer, tenant: UUID, worker_type: str
) -> None:
    """A rescue ends the sessions of a dead consumer by their name: one without it could hold its locks for ever."""
    start_consumer("-w", "1", "-k", worker_type)
    work.effect("e", tenant_id=tenant)
    until(lambda: effects(database) == 1, 30)
    names = database.query(
        "select distinct application_name from pg_stat_activity"
        " where usename = 'app_user' and datname = current_database() and client_port is not null"
    )
    work.huey.storage.close()
    assert all(name.startswith("skeldir:") for (name,) in names), names
