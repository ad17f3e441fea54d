"""/health tells the truth within seconds whatever happens to Postgres; /metrics counts; the worker never waits."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from skeldir_huey import metrics
from skeldir_huey.observability import monitor
from skeldir_huey.observability.monitor import Monitor
from tests.cluster import Cluster, Database
from tests.conftest import TEMPLATE, JsonLog, prepare
from tests.waiting import until

WELL = (200, {"status": "ok", "broker": "ok", "database": "ok", "workers": "ok"})
DOWN = (503, {"status": "unavailable", "broker": "unavailable", "database": "unavailable", "workers": "ok"})
NO_QUEUE = (503, {"status": "unavailable", "broker": "unavailable", "database": "ok", "workers": "ok"})


@pytest.fixture
def served(database: Database) -> Iterator[Monitor]:
    made = monitor.start("127.0.0.1", 0, lambda: database.dsn("app_user"))
    assert made is not None
    yield made
    made.stop()


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Cluster]:
    """A server that tests may stop and freeze."""
    made = Cluster()
    try:
        made.start()
        prepare(made)
        yield made
    finally:
        made.remove()


@pytest.fixture
def fragile(own_cluster: Cluster) -> Iterator[Monitor]:
    made = monitor.start("127.0.0.1", 0, lambda: own_cluster.database(TEMPLATE).dsn("app_user"))
    assert made is not None
    yield made
    made.stop()


def get(server: Monitor, path: str, method: str = "GET") -> tuple[int, str, http.client.HTTPMessage]:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        client.request(method, path)
        response = client.getresponse()
        return response.status, response.read().decode(), response.headers
    finally:
        client.close()


def health(server: Monitor) -> tuple[int, dict[str, str]]:
    status, body, _ = get(server, "/health")
    return status, json.loads(body)


def answer_within(server: Monitor, seconds: float) -> tuple[int, dict[str, str]]:
    began = time.monotonic()
    answer = health(server)
    assert time.monotonic() - began < seconds
    return answer


def test_a_healthy_worker_says_so_and_leaves_no_session(served: Monitor, database: Database) -> None:
    assert health(served) == WELL
    sessions = "select count(*) from pg_stat_activity where application_name = 'skeldir-health'"
    until(lambda: database.value(sessions) == 0, 30, "the session of the check is gone")


def test_the_check_changes_with_the_server(own_cluster: Cluster, fragile: Monitor) -> None:
    assert health(fragile) == WELL
    own_cluster.stop()
    until(lambda: answer_within(fragile, 4) == DOWN, 30, "503 after a stop")
    own_cluster.start()
    until(lambda: health(fragile) == WELL, 30, "200 after a start")


def test_a_frozen_server_is_noticed(own_cluster: Cluster, fragile: Monitor) -> None:
    assert health(fragile) == WELL
    assert "skeldir_database_read 1.0" in get(fragile, "/metrics")[1]
    os.kill(own_cluster.pid, signal.SIGSTOP)
    try:
        until(lambda: answer_within(fragile, 5) == DOWN, 30, "503 of a server that is stopped by SIGSTOP")
        until(lambda: "skeldir_database_read 0.0" in get(fragile, "/metrics")[1], 30, "and /metrics says so")
        status, text, _ = get(fragile, "/metrics")
        assert status == 200 and "huey_jobs_fenced_total" in text
        assert "huey_queue_depth{" not in text, "old numbers are not shown"
    finally:
        os.kill(own_cluster.pid, signal.SIGCONT)
    until(lambda: health(fragile) == WELL, 30, "200 after SIGCONT")


def test_a_locked_queue_is_no_broker(served: Monitor, database: Database) -> None:
    blocker = database.connect()
    try:
        with blocker.cursor() as cursor:
            cursor.execute("lock table huey.job in access exclusive mode")
        until(lambda: answer_within(served, 4) == NO_QUEUE, 30, "the statement timeout ends the check")
    finally:
        blocker.close()
    until(lambda: health(served) == WELL, 30, "well again")


def test_a_queue_that_app_rw_cannot_read_is_no_broker(served: Monitor, database: Database) -> None:
    database.query("revoke select on huey.job from app_rw")
    until(lambda: health(served) == NO_QUEUE, 30, "broker unavailable")


def test_a_silent_client_keeps_nobody_waiting(served: Monitor) -> None:
    with socket.create_connection(("127.0.0.1", served.port)):
        assert answer_within(served, 4) == WELL


def test_many_probes_share_one_session(database: Database) -> None:
    checks: list[str] = []

    def dsn() -> str:
        checks.append("asked")
        return database.dsn("app_user")

    served = monitor.start("127.0.0.1", 0, dsn)
    assert served is not None
    answers: list[tuple[int, dict[str, str]]] = []
    threads = [threading.Thread(target=lambda: answers.append(health(served))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    served.stop()
    assert answers == [WELL] * 20
    assert 1 <= len(checks) < 10


def test_metrics_count_each_task(served: Monitor) -> None:
    name = "skeldir.tests.counted"
    metrics.allow("task_name", {name})
    metrics.task_started(name)
    metrics.task_started(name)
    metrics.task_succeeded(name, 0.3)
    metrics.task_failed(name, 20)
    status, text, headers = get(served, "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if name in line)
    label = f'task_name="{name}"'
    assert float(samples[f"huey_task_started_total{{{label}}}"]) == 2
    assert float(samples[f"huey_task_success_total{{{label}}}"]) == 1
    assert float(samples[f"huey_task_failure_total{{{label}}}"]) == 1
    bounds = ("0.01", "0.05", "0.1", "0.25", "0.5", "1.0", "2.0", "5.0", "10.0", "60.0", "600.0", "+Inf")
    buckets = {bound: float(samples[f'huey_task_duration_seconds_bucket{{le="{bound}",{label}}}']) for bound in bounds}
    assert list(buckets.values()) == [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2]
    assert float(samples[f"huey_task_duration_seconds_sum{{{label}}}"]) == pytest.approx(20.3)


def test_other_paths_and_head(served: Monitor) -> None:
    assert get(served, "/")[0] == 404
    assert get(served, "/health?probe=1")[0] == 200
    assert get(served, "/health", "HEAD")[:2] == (200, "")
    assert get(served, "/metrics", "POST")[0] == 501
    assert "Python" not in str(get(served, "/health")[2])


def test_a_taken_port_is_logged_once_and_work_goes_on(json_log: JsonLog) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert monitor.start("127.0.0.1", port, lambda: "") is None
    (line,) = json_log.lines()
    assert (line["event"], line["level"], line["port"]) == ("monitor_port_taken", "warning", port)


def test_an_impossible_address_is_logged_and_work_goes_on(json_log: JsonLog) -> None:
    assert monitor.start("192.0.2.1", 0, lambda: "") is None
    assert [line["event"] for line in json_log.lines()] == ["monitor_not_started"]
