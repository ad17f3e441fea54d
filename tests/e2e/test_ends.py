"""Ten of each bad end beside ten good jobs, deadlines of a shutdown, and how soon an idle consumer hears of a job."""

from __future__ import annotations

import signal
import statistics
import time
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from tests import work
from tests.cluster import Database
from tests.e2e.conftest import StartConsumer
from tests.factories import make_tenant
from tests.waiting import until

EACH = 10


@pytest.fixture
def tenant(database: Database) -> UUID:
    return make_tenant(database, "alpha")


def ended(database: Database) -> dict[tuple[str, str], int]:
    """Return how many jobs of each test task ended in which way."""
    rows = database.query(
        "select task_name, outcome, count(*) from huey.job_attempt where ended and task_name like 'test.%%'"
        " group by 1, 2"
    )
    return {(name.removeprefix("test."), outcome): count for name, outcome, count in rows}


def test_ten_of_each(database: Database, start_consumer: StartConsumer, tenant: UUID) -> None:
    """Rows 8, 18, 19 and 20: sys.exit, timeouts in SQL and Python and swallowed, failures, and no memory.

    Seen with a plain SqlHuey: SystemExit leaves execute(), the task is gone and its worker thread dead until the next
    look after its health, 10 s; a timeout of 2 s in a thread worker let 6 s of work end as a success.
    """
    for number in range(EACH):
        work.effect(f"before {number}", tenant_id=tenant)
        work.exits()
        work.slow_sql(tenant_id=tenant)
        work.slow_python()
        work.failing_effect(f"bad {number}", tenant_id=tenant)
        work.flaky_effect(f"flaky {number}", tenant_id=tenant)
        work.eats_memory()
        work.swallowed_abort(tenant_id=tenant)
        work.effect(f"after {number}", tenant_id=tenant)
    consumer = start_consumer("-w", "4", ready=False)
    left = "select count(*) from huey.job where task_name like 'test.%%'"
    until(lambda: database.value(left) == 0, 60, lambda: consumer.log.read_text()[-3000:])
    bad = ("exits", "slow_sql", "slow_python", "failing_effect", "eats_memory", "swallowed_abort")
    assert ended(database) == {(name, "dead"): EACH for name in bad} | {
        ("effect", "done"): 2 * EACH,
        ("flaky_effect", "done"): EACH,
    }
    effects = database.query("select split_part(marker, ' ', 1), count(*) from test_effect group by 1 order by 1")
    assert effects == [("after", EACH), ("before", EACH), ("flaky", EACH)], "each once; nothing of a failed attempt"
    letters = dict(database.query("select exception_class, count(*) from worker_failed_jobs group by 1"))
    assert letters.pop("huey.exceptions.TaskTimeout") == 2 * EACH
    assert letters.pop("SystemExit") == letters.pop("MemoryError") == letters.pop("ValueError") == EACH
    assert sum(letters.values()) == EACH, f"the aborted transactions: {letters}"
    attempts = "select max(attempt), count(*) from huey.job_attempt where task_name = 'test.{}'"
    assert database.query(attempts.format("failing_effect")) == [(3, 3 * EACH)], "no attempt more than it may have"
    assert database.query(attempts.format("flaky_effect")) == [(3, 3 * EACH)]
    assert database.query(attempts.format("exits")) == [(1, EACH)]
    assert consumer.process.poll() is None, "nothing of that ends a worker"
    work.effect("still here", tenant_id=tenant)
    until(lambda: database.value(left) == 0, 30)


def test_ten_poisons(database: Database, start_consumer: StartConsumer, tenant: UUID) -> None:
    """Ten jobs that kill the process that runs them, each max_deaths times, beside ten that must not starve."""
    for number in range(EACH):
        work.kills_its_worker()
        work.effect(f"sentinel {number}", tenant_id=tenant)
    consumer = start_consumer("-w", "6", "-k", "process", "-c", "1", ready=False, SKELDIR_MAX_DEATHS="2")
    left = "select count(*) from huey.job where task_name like 'test.%%'"
    until(lambda: database.value(left) == 0, 90, lambda: consumer.log.read_text()[-3000:], every=0.1)
    assert ended(database) == {("kills_its_worker", "dead"): EACH, ("effect", "done"): EACH}
    assert database.query("select error_type, count(*) from worker_failed_jobs group by 1") == [("worker_lost", EACH)]
    assert database.query("select count(*), count(distinct marker) from test_effect") == [(EACH, EACH)]
    deaths = "select max(n) from (select count(*) as n from huey.job_attempt where not ended group by task_id) d"
    assert database.value(deaths) <= 2, "one death that counted, and perhaps one in a batch that was nobody's"


@pytest.mark.parametrize("worker_type", ["thread", "process"])
def test_a_shutdown_takes_no_longer_than_asked(
    database: Database, start_consumer: StartConsumer, tenant: UUID, tmp_path: Path, worker_type: str
) -> None:
    """`-t 0.5` for a job that does not end; the default of 4 s leaves honcho's 5 s unused."""
    consumer = start_consumer("-w", "1", "-k", worker_type, "-t", "0.5")
    path = tmp_path / "go"
    work.patient_effect("e", str(path), tenant_id=tenant)
    until(lambda: Path(f"{path}.started").exists(), 30)
    began = time.monotonic()
    assert consumer.end(signal.SIGTERM) == 0
    assert 0.5 <= time.monotonic() - began < 4, "not the default of 4 s"
    state = "select state, attempt, deaths from huey.job where task_name like 'test.%%'"
    assert database.query(state) == [("waiting", 0, 0)]


@pytest.mark.parametrize("worker_type", ["thread", "process"])
def test_the_second_signal_gives_back_at_once(
    database: Database, start_consumer: StartConsumer, tenant: UUID, tmp_path: Path, worker_type: str
) -> None:
    """An operator who does not want to wait: the job of the interrupted worker waits again, uncounted."""
    consumer = start_consumer("-w", "1", "-k", worker_type, "-t", "60")
    path = tmp_path / "go"
    work.patient_effect("e", str(path), tenant_id=tenant)
    until(lambda: Path(f"{path}.started").exists(), 30)
    consumer.process.send_signal(signal.SIGINT)
    until(lambda: "Shutting down gracefully" in consumer.log.read_text(), 30)
    consumer.process.send_signal(signal.SIGINT)
    consumer.process.wait(30)
    until(lambda: not database.value("select count(*) from huey.job where state = 'running'"), 30)
    state = "select state, attempt, deaths from huey.job where task_name like 'test.%%'"
    assert database.query(state) == [("waiting", 0, 0)]


@pytest.mark.parametrize("worker_type", ["thread", "process"])
def test_a_task_stuck_in_c_is_given_up_and_its_worker_replaced(
    database: Database, start_consumer: StartConsumer, tenant: UUID, worker_type: str
) -> None:
    """The only worker sits in one call for a minute, with half a second allowed: the next job does not wait for it."""
    consumer = start_consumer("-w", "1", "-k", worker_type, "-c", "1")
    work.sits_in_c(60)
    until(lambda: database.value("select count(*) from huey.job where state = 'running'") == 1, 30)
    work.effect("after it", tenant_id=tenant)
    until(lambda: database.value("select count(*) from test_effect") == 1, 30, consumer.log.read_text)
    assert len(consumer.events("worker_stuck")) == 1
    assert database.query("select error_type, task_name from worker_failed_jobs") == [("timeout", "test.sits_in_c")]
    assert ended(database) == {("sits_in_c", "dead"): 1, ("effect", "done"): 1}
    assert database.value("select count(*) from huey.job where task_name like 'test.%%'") == 0
    assert consumer.end(signal.SIGTERM) == 0


def counts(database: Database, effects: int) -> bool:
    return bool(database.value("select count(*) from test_effect") == effects)


@pytest.mark.alone
def test_an_idle_consumer_hears_of_a_job(database: Database, start_consumer: StartConsumer, tenant: UUID) -> None:
    """Row 22. Seen with a plain SqlHuey and default options, idle for a minute: 1.7, 6.6 and 6.5 s until the task was
    done.

    Looking once a second alone would make the median half a second; this machine may be busy, so single ones may be
    late.
    """
    consumer = start_consumer()
    idle = "select bool_and(idle) from huey.consumer"
    waited = []
    for number in range(15):
        until(lambda: database.value(idle), 30)
        began = time.monotonic()
        work.effect(f"{number}", tenant_id=tenant)
        until(partial(counts, database, number + 1), 30, consumer.log.read_text)
        waited.append(time.monotonic() - began)
    assert statistics.median(waited) < 0.3, waited
    assert max(waited) < 3, waited
