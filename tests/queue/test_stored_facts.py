"""What the tables say, and that nothing else is asked: instants, results, counts, plans; and what must not be there."""

from __future__ import annotations

import ast
import datetime as dt
import json
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
import sqlalchemy.exc
from flask import Flask
from huey.exceptions import CancelExecution

from skeldir_huey.db.engine import transaction
from skeldir_huey.queue import control, outcomes
from skeldir_huey.queue.consumer import QueueScheduler
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.storage import statement
from tests import work
from tests.admin.world import start_console
from tests.cluster import Cluster, Database
from tests.conftest import ROOT
from tests.queue.kept import claim_parameters
from tests.waiting import until

RunAll = Callable[[], int]

SCHEDULE = """
import datetime as dt, time
from zoneinfo import ZoneInfo
from tests import work
began = time.time()
ids = [
    work.add.schedule((0, 0), delay=3600).id,
    work.add.schedule((0, 0), eta=dt.datetime(2099, 6, 1, 12, tzinfo=dt.timezone.utc)).id,
    work.add.schedule((0, 0), eta=dt.datetime(2099, 6, 1, 8, tzinfo=ZoneInfo("America/New_York"))).id,
    work.add.schedule((0, 0), eta=dt.datetime(2099, 3, 8, 7, 30, tzinfo=dt.timezone.utc)).id,
    work.add.schedule((0, 0), eta=dt.datetime(2099, 11, 1, 5, 30, tzinfo=dt.timezone.utc)).id,
    work.add.schedule((0, 0), eta=dt.datetime(2099, 11, 1, 6, 30, tzinfo=dt.timezone.utc)).id,
]
print(began, *ids)
"""


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_an_instant_is_the_same_whatever_zone_the_host_has(database: Database, env: dict[str, str], zone: str) -> None:
    """Row 21. Seen with a plain SqlHuey in New York: an eta of 12:00 there (16:00 UTC) was stored as 20:00 UTC; 02:30
    and 03:30 of 2026-03-08 as the same instant; 00:30 and 01:30 of 2026-11-01 two hours apart.
    """
    ended = subprocess.run(
        [sys.executable, "-c", SCHEDULE], cwd=ROOT, env=env | {"TZ": zone}, capture_output=True, text=True, check=True
    )
    began, *ids = ended.stdout.split()
    rows = dict(database.query("select task_id, run_at from huey.job"))
    stored = [rows[one] for one in ids]
    hour = dt.datetime.fromtimestamp(float(began) + 3600, dt.UTC)
    assert abs(stored[0] - hour) < dt.timedelta(seconds=30)
    texts = ["2099-06-01T12:00", "2099-06-01T12:00", "2099-03-08T07:30", "2099-11-01T05:30", "2099-11-01T06:30"]
    assert stored[1:] == [dt.datetime.fromisoformat(f"{text}:00+00:00") for text in texts]


def test_results_expire_and_none_is_one(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    """Row 24. Seen with a plain SqlHuey: 500 unread results stay, its table has no time of expiry (key, queue,
    value), and of a task that returned None nothing is left: "finished" and "lost" look the same.
    """
    huey.enqueue_many(work.echo.s(number) for number in range(500))
    nothing = work.locked()  # returns None
    run_all()
    assert nothing.is_ready() and nothing() is None
    kept = "select count(*), min(expires_at) > now() + interval '23 hours' from huey.result"
    assert database.query(kept) == [(500, True)], "500 unread ones; reading takes a result away"
    database.query("update huey.result set expires_at = now() - interval '1 second'")
    assert huey.result_count() == 0
    huey.storage.run(statement("expire_results"))
    assert database.value("select count(*) from huey.result") == 0
    assert database.query("select outcome, count(*) from huey.job_attempt group by 1") == [("done", 501)]


def test_more_results_expire_than_one_statement_deletes(database: Database, huey: SkeldirHuey) -> None:
    """Seen before: 5,000 a minute and consumer, while one of them makes as many in half a second."""
    database.query(
        "insert into huey.result (key, value, is_result, expires_at)"
        " select 'k' || n, '', true, now() - interval '1 second' from generate_series(1, 12000) n"
    )
    scheduler = QueueScheduler(huey, threading.Event(), 0.01, False)
    for _ in range(3):
        scheduler.loop()
    assert database.value("select count(*) from huey.result") == 0


def test_a_job_that_is_cancelled_or_revoked_leaves_its_trace(
    database: Database, huey: SkeldirHuey, run_all: RunAll
) -> None:
    """Row 9. Seen with a plain SqlHuey: revoked, expired and cancelled before execution: no row in any table, no
    result.
    """

    @huey.pre_execute("no threes")
    def no_threes(task: Any) -> None:
        if task.args == (3, 3):
            raise CancelExecution

    try:
        late = work.add.s(1, 1)
        late.expires = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        huey.enqueue(late)
        work.add(2, 2).revoke()
        work.add(3, 3)
        assert run_all() == 3
    finally:
        huey.unregister_pre_execute("no threes")
    trace = "select outcome, error_message from huey.job_attempt order by id"
    assert database.query(trace) == [
        ("dead", "not run: expired"),
        ("cancelled", "not run: revoked"),
        ("cancelled", "not run: cancelled before it began"),
    ]
    assert database.query("select error_type from worker_failed_jobs") == [("expired",)]
    assert database.value("select coalesce(sum(abs(gap)), 0) from (" + statement("ledger") + ") l") == 0


def buffers(database: Database, lane: str) -> int:
    """Return how many pages one claim touches."""
    connection = database.connect()
    with connection.cursor() as cursor:
        cursor.execute("set local role app_rw; set local enable_seqscan to off; set local enable_bitmapscan to off")
        cursor.execute("explain (analyze, buffers, format json) " + statement("claim"), claim_parameters([lane], 10))
        plan = cursor.fetchone()[0]
    connection.rollback()
    connection.close()
    plan = json.loads(plan) if isinstance(plan, str) else plan
    return int(plan[0]["Plan"]["Shared Hit Blocks"]) + int(plan[0]["Plan"]["Shared Read Blocks"])


def test_a_claim_does_not_read_past_other_lanes(database: Database, huey: SkeldirHuey) -> None:
    """Row 23: 30,000 jobs of another lane and as many scheduled ones cost a claim nothing."""
    huey.enqueue_many(work.add.s(1, 1) for _ in range(50))
    alone = buffers(database, "ingest")
    fill = """
    insert into huey.job (task_id, lane, task_name, message, state, run_at, rank)
    select 'f' || n, 'llm', 'x', '', 'waiting', now(), n from generate_series(1, 30000) n;
    insert into huey.job (task_id, lane, task_name, message, state, run_at, rank)
    select 's' || n, 'ingest', 'x', '', 'scheduled', now() + interval '1 day', n from generate_series(1, 30000) n;
    """
    database.query(fill)
    assert buffers(database, "ingest") <= alone * 1.3 + 10


def test_counts_are_those_of_the_rows_after_a_crash(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    """Row 25: nothing is buffered and counted elsewhere. A consumer dies in the middle; the ledger says what the rows
    say.
    """
    for number in range(10):
        work.add(number, 0)
    dies = huey.storage.claim(uuid.uuid4(), 3)
    for _ in range(4):
        data = huey.storage.dequeue()
        assert data is not None
        huey.execute(huey.task_of(data))

    def of_ingest() -> dict[str, Any]:
        with transaction(None, role="app_rw") as connection:
            (line,) = (row for row in control.ledger(connection) if row["lane"] == "ingest")
        return {kind: line[kind] for kind in ("enqueued", "waiting", "running", "done", "gap")}

    assert of_ingest() == {"enqueued": 10, "waiting": 3, "running": 3, "done": 4, "gap": 0}
    assert huey.storage.release(dies)
    assert of_ingest() == {"enqueued": 10, "waiting": 6, "running": 0, "done": 4, "gap": 0}
    run_all()
    assert of_ingest() == {"enqueued": 10, "waiting": 0, "running": 0, "done": 10, "gap": 0}


def imports(folder: str) -> Iterator[str]:
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield node.module or ""


def test_nothing_of_hueys_extras_is_used(database: Database) -> None:
    """Rows 25, 26 and 27: no HueyStats, no pickle, no flask_admin panel of Huey's."""
    found = {name for folder in ("skeldir_huey", "admin") for name in imports(folder)}
    assert {name for name in found if name.startswith("huey.contrib")} == {"huey.contrib.sql_huey"}
    assert not found & {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}


def test_the_panel_of_huey_is_not_mounted(database: Database) -> None:
    """Row 27: its POST /action revokes and flushes without a token and across tenants."""
    app: Flask = start_console()
    rules = [rule.rule for rule in app.url_map.iter_rules()]
    assert rules and not [rule for rule in rules if rule.rstrip("/").endswith("/action") or "huey" in rule.lower()]


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    made = Cluster()
    try:
        made.start()
        yield made
    finally:
        made.remove()


def error_of_a_stop(cluster: Cluster, how: signal.Signals, run: Callable[[], object]) -> BaseException:
    """Return what a statement raises while which the server stops."""
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            run()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    asleep = "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()"
    until(lambda: cluster.database("postgres").value(asleep) == 1, 30)
    cluster.stop(how)
    thread.join(10)
    return raised[0]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
@pytest.mark.parametrize("way", ["psycopg2", "sqlalchemy"])
def test_a_server_that_stops_is_a_lost_connection(own_cluster: Cluster, how: signal.Signals, way: str) -> None:
    """Row 29: whatever class psycopg2 raises, with or without a SQLSTATE."""
    connection = own_cluster.database("postgres").connect()
    made = sa.create_engine(own_cluster.database("postgres").url("postgres"))
    bound = made.connect()

    def run() -> None:
        if way == "psycopg2":
            connection.cursor().execute("select pg_sleep(60)")
        else:
            bound.exec_driver_sql("select pg_sleep(60)")

    error = error_of_a_stop(own_cluster, how, run)
    assert isinstance(error, psycopg2.Error | sqlalchemy.exc.DBAPIError)
    assert outcomes.connection_lost(error), repr(error)
    assert outcomes.error_type_of(error) == "transient"
    bound.invalidate()
    made.dispose()


def test_what_is_no_lost_connection(database: Database) -> None:
    """Row 29: an error of the statement is the task's own. And the bare DatabaseError without a code is not."""
    for text in ("select 1/0", "select nothing", "insert into huey.lane values (null)"):
        with pytest.raises(psycopg2.Error) as raised:
            database.query(text)
        assert not outcomes.connection_lost(raised.value)
    assert outcomes.connection_lost(psycopg2.DatabaseError("server closed the connection unexpectedly"))
    assert not outcomes.connection_lost(ValueError("server closed the connection unexpectedly"))
