"""Faults at chosen moments, in real processes: whatever goes wrong in a settlement, the job comes back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from tests import work
from tests.chaos.crash_points import CRASHED
from tests.chaos.proxy import Proxy
from tests.cluster import Cluster, Database
from tests.conftest import TEMPLATE, point_at, prepare
from tests.e2e.conftest import BIN, ConsumerProcess, StartConsumer
from tests.factories import make_tenant
from tests.waiting import until

CHAOS_CONSUMER = [str(BIN / "huey_consumer"), "tests.chaos.consumer.huey"]  # the one that knows mutants
LETTERS = "select error_type, exception_class from worker_failed_jobs"
HISTORY = "select outcome, attempt from huey.job_attempt where task_name like 'test.%%' order by id"


@pytest.fixture
def tenant(database: Database) -> UUID:
    return make_tenant(database, "alpha")


def jobs_left(database: Database) -> int:
    return int(database.value("select count(*) from huey.job where task_name like 'test.%%'"))


def effects(database: Database) -> int:
    return int(database.value("select count(*) from test_effect"))


def test_a_receiver_of_dead_fails_once(database: Database, start_consumer: StartConsumer, tenant: UUID) -> None:
    """Row 7. Its KeyError rolls the settlement back, its own letter included: the job comes back and is buried once.

    Seen with a plain SqlHuey, a receiver of `error` that should write the letter and fails, a task with 3 retries:
    called 4 times, execute() raised nothing, no letter and no row left; of an expired and a revoked task it was never
    told.
    """
    consumer = start_consumer(command=CHAOS_CONSUMER, SKELDIR_MUTANT="dead_raises_once")
    work.failing_effect("e", tenant_id=tenant, retries=0)
    until(lambda: jobs_left(database) == 0, 30, consumer.log.read_text)
    assert len(consumer.events("settlement_failed")) == 1
    assert database.query(LETTERS) == [("permanent", "ValueError")]
    assert database.query(HISTORY) == [("dead", 1)], "an attempt that nobody could settle is not counted"
    assert consumer.process.poll() is None


def test_the_letter_cannot_be_written(database: Database, start_consumer: StartConsumer, tenant: UUID) -> None:
    """Without its letter no job is dead: it comes back until the letter can be written."""
    database.query("revoke insert on worker_failed_jobs from app_user")
    consumer = start_consumer("-w", "1")
    work.failing_effect("e", tenant_id=tenant, retries=0)
    until(lambda: len(consumer.events("settlement_failed")) >= 2, 30, consumer.log.read_text)
    assert jobs_left(database) == 1
    assert database.query(LETTERS) == []
    assert database.query(HISTORY) == [], "nothing of a settlement without letter is there"
    database.query("grant insert on worker_failed_jobs to app_user")
    until(lambda: jobs_left(database) == 0, 30, consumer.log.read_text)
    assert database.query(LETTERS) == [("permanent", "ValueError")]
    assert database.query(HISTORY) == [("dead", 1)]
    assert effects(database) == 0


@pytest.fixture
def proxy(database: Database) -> Iterator[Proxy]:
    made = Proxy(database.socket_dir / ".s.PGSQL.5432")
    yield made
    made.close()


@pytest.mark.parametrize("answered", [True, False], ids=["after COMMIT", "before COMMIT"])
def test_the_settlement_is_cut_while_the_lock_is_held(
    database: Database, start_consumer: StartConsumer, tenant: UUID, proxy: Proxy, tmp_path: Path, answered: bool
) -> None:
    """Nobody rescues a consumer that lives: it finds by itself the claim whose settlement it knows nothing of."""
    way = f"postgresql+psycopg2://app_user@127.0.0.1:{proxy.port}/{database.name}?sslmode=disable&gssencmode=disable"
    # -n: a minute's tick commits over the same way, and could be the one that is cut.
    consumer = start_consumer("-w", "1", "-n", DATABASE_URL=way, DATABASE_DIRECT_URL=database.url("app_user"))
    start_consumer("-w", "1", "-n", SKELDIR_LANES="llm")  # somebody who would rescue
    path = tmp_path / "go"
    work.patient_effect("e", str(path), tenant_id=tenant)
    until(lambda: Path(f"{path}.started").exists(), 30)
    proxy.cut_next("commit", answered)
    path.touch()
    until(lambda: consumer.events("settlement_failed"), 30, consumer.log.read_text)
    until(lambda: jobs_left(database) == 0, 30, consumer.log.read_text)
    assert [cut.place for cut in proxy.cuts] == ["commit"]
    assert effects(database) == 1
    assert database.query(HISTORY) == [("done", 1)]
    assert database.value("select count(*) from huey.job where deaths > 0") == 0
    assert not consumer.events("liveness_lost"), "its lock was never lost"


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    made = Cluster(safe=True)
    try:
        made.start()
        prepare(made)
        yield made
    finally:
        made.remove()


def test_three_restarts_under_one_long_job(
    own_cluster: Cluster, start_consumer: StartConsumer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The server's deaths are not the job's: with max_deaths 3 it is neither buried nor counted down."""
    database = own_cluster.database(TEMPLATE)
    database.query(work.EFFECT_TABLE)
    tenant = make_tenant(database, "alpha")
    point_at(database, monkeypatch)
    work.huey.storage.close()
    path = tmp_path / "go"
    task_id = work.patient_effect("e", str(path), tenant_id=tenant).id
    consumers = [start_consumer("-w", "1", ready=False, **database.env) for _ in range(2)]
    until(lambda: Path(f"{path}.started").exists(), 30, consumers[0].log.read_text)
    until(lambda: both_are_back(database), 30, consumers[0].log.read_text)
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGINT):
        own_cluster.stop(how)
        own_cluster.start()
        until(lambda: both_are_back(database), 30, consumers[0].log.read_text)
    assert database.query("select task_id, deaths from huey.job where task_name like 'test.%%'") == [(task_id, 0)]
    path.touch()
    until(lambda: jobs_left(database) == 0, 30, consumers[0].log.read_text)
    assert effects(database) == 1
    # On a slow machine a consumer may be late for its lock; then another one takes over, and no death is counted.
    assert [row for row in database.query(HISTORY) if row != ("worker_lost", 1)] == [("done", 1)]
    assert database.query(LETTERS) == []


def test_a_restart_of_the_server_while_8_jobs_run(
    own_cluster: Cluster, start_consumer: StartConsumer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Row 4. Seen with a plain SqlHuey, `pg_ctl restart -m fast` while 4 heads of chains and 4 tasks with 3 retries
    ran: all 4 tails, all 12 further attempts and all results gone, nothing left in any table.
    """
    database = own_cluster.database(TEMPLATE)
    database.query(work.EFFECT_TABLE)
    tenant = make_tenant(database, "alpha")
    point_at(database, monkeypatch)
    work.huey.storage.close()
    path = tmp_path / "go"
    for number in range(4):
        head = work.waiting_link.s(f"head-{number}", str(path), tenant_id=tenant)
        work.huey.enqueue(head.then(work.last_link, tenant_id=tenant))
        work.slow_failure(f"fails-{number}", str(path), tenant_id=tenant)
    consumer = start_consumer("-w", "8", ready=False, **database.env)
    until(lambda: len(list(tmp_path.glob("go.*"))) == 8, 30, consumer.log.read_text)
    own_cluster.stop(signal.SIGINT)
    own_cluster.start()
    path.touch()
    until(lambda: jobs_left(database) == 0, 40, consumer.log.read_text)
    expected = sorted(one for n in range(4) for one in (f"head-{n}", f"after head-{n}", f"fails-{n}"))
    assert [marker for (marker,) in database.query("select marker from test_effect order by 1")] == expected
    ended = "select task_name, outcome, count(*) from huey.job_attempt where ended and task_name like 'test.%%'"
    assert sorted(database.query(f"{ended} group by 1, 2")) == [
        (f"test.{name}", "done", 4) for name in ("last_link", "slow_failure", "waiting_link")
    ]
    assert database.query(LETTERS) == []


def armed(folder: Path, *points: str) -> dict[str, str]:
    """Return the settings under which a consumer ends itself once at each of these points."""
    for point in points:
        (folder / "tokens" / point).mkdir(parents=True)
        (folder / "tokens" / point / "0").touch()
    return {"CHAOS_FOLDER": str(folder), "SKELDIR_MUTANT_CRASH_AT": ",".join(points)}


def run_with_crashes(start_consumer: StartConsumer, done: Callable[[], bool], count: int, **settings: str) -> None:
    """Start consumers one after the other, as a supervisor does, until all is done; `count` of them crash."""
    crashes = 0
    while True:
        consumer = start_consumer(ready=False, command=CHAOS_CONSUMER, **settings)

        def over(one: ConsumerProcess = consumer) -> bool:
            return done() or one.process.poll() is not None

        until(over, 40, consumer.log.read_text)
        if consumer.process.poll() is None:
            break
        assert consumer.process.returncode == CRASHED, consumer.log.read_text()
        crashes += 1
    assert crashes == count


@pytest.mark.parametrize("point", ["promote.before", "promote.after"])
def test_the_scheduler_dies_while_2000_jobs_fall_due(
    database: Database, start_consumer: StartConsumer, tenant: UUID, tmp_path: Path, point: str
) -> None:
    """Row 2. Seen with a plain SqlHuey, killed in its first enqueue after read_schedule: 2,000 of 2,000 due tasks
    gone.
    """
    work.huey.enqueue_many(work.add.s(number, 0, delay=1) for number in range(2_000))
    where = "where task_name = 'test.add' and outcome = 'done'"
    ended = f"select count(*), count(distinct task_id) from huey.job_attempt {where}"
    database.query("select pg_sleep(1)")
    done = lambda: database.query(ended) == [(2_000, 2_000)]  # noqa: E731
    run_with_crashes(start_consumer, done, 1, **armed(tmp_path, point))
    assert jobs_left(database) == 0


def test_a_crash_around_the_commit_of_a_retry(
    database: Database, start_consumer: StartConsumer, tenant: UUID, tmp_path: Path
) -> None:
    """Row 5. Seen with a plain SqlHuey, killed between attempt 1 of 4 and the insert of its retry: no row in any table.

    Killed before the commit the attempt was not; killed after it, it was: in both cases the next one follows.
    """
    work.failing_effect("e", tenant_id=tenant)
    done = lambda: jobs_left(database) == 0  # noqa: E731
    run_with_crashes(start_consumer, done, 2, **armed(tmp_path, "retry.before_commit", "retry.after_commit"))
    ends = [row for row in database.query(HISTORY) if row[0] != "worker_lost"]
    assert [outcome for outcome, _ in ends] == ["errored", "errored", "dead"], "three attempts, as the task may have"
    assert effects(database) == 0
    assert database.query(LETTERS) == [("permanent", "ValueError")]


def both_are_back(database: Database) -> bool:
    """Say whether the consumer of the running job and the other one are connected to this start of the server.

    A consumer writes its heartbeat on connecting, with its lock in hand. Locks are not counted: a rotation has some.
    """
    back = "select id from huey.consumer where heartbeat_at > pg_postmaster_start_time() and holds_lock"
    owner = database.query(f"select 1 from huey.job where task_name like 'test.%%' and consumer_id in ({back})")
    return bool(owner) and int(database.value(f"select count(*) from ({back}) b")) == 2


def test_a_frozen_consumer_that_wakes_is_not_rescued_again(
    database: Database, start_consumer: StartConsumer, tenant: UUID, tmp_path: Path
) -> None:
    """What it claims before its next heartbeat is a sign of life: its new job runs once."""
    settings = {"SKELDIR_FROZEN_AFTER_S": "5", "SKELDIR_HEARTBEAT_S": "1"}
    frozen = start_consumer("-w", "2", **settings)
    path = tmp_path / "go"
    work.patient_effect("e", str(path), tenant_id=tenant)
    until(lambda: Path(f"{path}.started").exists(), 30)
    os.kill(frozen.pid, signal.SIGSTOP)
    other = start_consumer("-w", "1", ready=False, **settings)
    until(lambda: other.events("consumer_rescued"), 60, other.log.read_text)
    path.touch()
    until(lambda: effects(database) == 1, 30)
    os.kill(frozen.pid, signal.SIGCONT)
    for number in range(40):
        work.effect(f"later {number}", tenant_id=tenant)
    until(lambda: jobs_left(database) == 0, 60)
    until(lambda: frozen.events("liveness_lost"), 30, frozen.log.read_text)
    assert effects(database) == 41
    assert len(other.events("consumer_rescued")) == 1


@pytest.mark.parametrize("worker_type", ["thread", "process"])
def test_sighup_gives_back_what_it_cannot_finish(
    database: Database, start_consumer: StartConsumer, tenant: UUID, tmp_path: Path, worker_type: str
) -> None:
    """A restart is no death: the job of the consumer that begins anew comes back uncounted."""
    consumer = start_consumer("-w", "1", "-k", worker_type, "-t", "0.2")
    path = tmp_path / "go"
    work.patient_effect("e", str(path), tenant_id=tenant)
    until(lambda: Path(f"{path}.started").exists(), 30)
    before = database.value("select max(started_at) from huey.consumer")
    consumer.process.send_signal(signal.SIGHUP)
    until(lambda: database.value("select max(started_at) from huey.consumer") > before, 30, consumer.log.read_text)
    path.touch()
    until(lambda: effects(database) == 1, 30, consumer.log.read_text)
    until(lambda: jobs_left(database) == 0, 30)
    history = [row for row in database.query(HISTORY) if row != ("released", 1)]
    assert history == [("done", 1)], "no worker_lost, and the interrupted attempt is not counted"
    assert consumer.process.poll() is None
