"""The life sign of a process: without its lock it claims nothing, and who is busy is not woken for each job."""

from __future__ import annotations

import select
import threading
import uuid
from typing import Any

import pytest

from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.liveness import lock_key
from skeldir_huey.queue.storage import statement
from skeldir_huey.tasks.housekeeping import ping
from tests.cluster import Database
from tests.conftest import JsonLog
from tests.waiting import until

LISTENERS = (
    "select pg_terminate_backend(pid) from pg_locks l join pg_stat_activity a using (pid)"
    " where l.locktype = 'advisory' and a.usename = 'app_user' and a.datname = current_database()"
)


def test_a_process_without_its_lock_stops_claiming(database: Database, huey: SkeldirHuey) -> None:
    """Somebody may take it for dead: what it claimed now would be taken from it while it works."""
    huey.open_process({"worker_type": "thread", "worker_count": 1})
    desk = huey.desk
    assert desk is not None
    until(lambda: desk.may_claim, 30)
    taker = database.connect(autocommit=True)
    key = lock_key(huey.storage.consumer_id)
    # In line before the session ends, so that the process does not get its lock back at once.
    waiter = threading.Thread(target=lambda: taker.cursor().execute("select pg_advisory_lock(%s)", (key,)), daemon=True)
    waiter.start()
    until(lambda: database.value("select count(*) from pg_locks where locktype = 'advisory' and not granted") == 1, 30)
    database.query(LISTENERS)
    waiter.join(10)
    until(lambda: not desk.may_claim, 30)
    huey.enqueue(ping.s())
    assert desk.take(0.5) is None
    assert database.value("select count(*) from huey.job where state = 'waiting'") == 1
    taker.close()
    until(lambda: desk.may_claim, 30)
    until(lambda: desk.take(0.5) is not None, 30)


@pytest.mark.parametrize(("idle", "heard"), [(True, True), (False, False)])
def test_nobody_is_told_while_nobody_waits(database: Database, huey: SkeldirHuey, idle: bool, heard: bool) -> None:
    """A notification takes one lock of the whole server at each commit."""
    database.query(
        "insert into huey.consumer (id, host, pid, worker_type, worker_count, lanes, version, idle)"
        " values (%s, 'h', 1, 'thread', 1, '{housekeeping}', 'v', %s)",
        (str(uuid.uuid4()), idle),
    )
    listener: Any = database.connect(autocommit=True)
    with listener.cursor() as cursor:
        cursor.execute("listen skeldir_jobs")
    huey.enqueue(ping.s())
    readable, _, _ = select.select([listener], [], [], 30.0 if heard else 0.3)
    listener.poll()
    assert [note.payload for note in listener.notifies] == (["housekeeping"] if heard else [])
    assert bool(readable) == heard
    listener.close()


def test_a_slow_echo_is_no_pooler(
    database: Database, huey: SkeldirHuey, json_log: JsonLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken for one, a consumer would live by its heartbeat until it is started again."""
    run = huey.storage.run

    def late(text: str, parameters: Any = None, **options: Any) -> Any:
        if text != statement("notify_self"):
            return run(text, parameters, **options)
        threading.Timer(1.2, run, (text, parameters)).start()
        return []

    monkeypatch.setattr(huey.storage, "run", late)
    huey.open_process({"worker_type": "thread", "worker_count": 1})
    desk = huey.desk
    assert desk is not None
    until(lambda: desk.may_claim, 30)
    assert database.value("select bool_and(holds_lock) from huey.consumer")
    assert "notify_unavailable" not in json_log.events()
