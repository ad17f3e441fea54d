"""The user's own command serves /health and /metrics, and counts what its jobs did."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from skeldir_huey import config
from skeldir_huey.metrics import TABLE
from skeldir_huey.tasks.housekeeping import ping
from tests import work
from tests.e2e.conftest import StartConsumer
from tests.waiting import until

COMMAND = [str(Path(sys.executable).parent / "huey_consumer"), "skeldir_huey.main.huey", "-w", "1"]


def get(port: str, path: str) -> tuple[int, str]:
    client = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
    try:
        client.request("GET", path)
        response = client.getresponse()
        return response.status, response.read().decode()
    finally:
        client.close()


def answered(port: str) -> tuple[int, Any]:
    """Return status and content of /health."""
    status, body = get(port, "/health")
    return status, json.loads(body)


def samples(port: str) -> dict[str, float]:
    """Return what a scrape answers, by name and labels."""
    lines = [line for line in get(port, "/metrics")[1].splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def counted(port: str, outcome: str, task: str = "skeldir.housekeeping.ping") -> float:
    return samples(port).get(f'huey_task_{outcome}{{task_name="{task}"}}', 0)


def test_a_consumer_answers_and_counts(
    start_consumer: StartConsumer, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKELDIR_TEST_TASKS", "1")
    config.reload()
    start_consumer(command=COMMAND)
    port = env["WORKER_METRICS_PORT"]
    assert answered(port) == (200, {"status": "ok", "broker": "ok", "database": "ok", "workers": "ok"})
    until(lambda: counted(port, "success_total") == 1, 30, "the ping of the start is counted")
    ping(fail=True)
    until(lambda: counted(port, "failure_total") == 1, 30, "the failed ping is counted")
    assert counted(port, "success_total") == 1
    assert counted(port, "started_total") == counted(port, "duration_seconds_count") == 2


def test_a_taken_port_is_logged_once_and_jobs_run(start_consumer: StartConsumer, env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(env["WORKER_METRICS_PORT"]))):
        consumer = start_consumer(command=COMMAND)
        assert len(consumer.events("monitor_port_taken")) == 1


def test_one_scrape_shows_the_jobs_of_every_child(start_consumer: StartConsumer, env: dict[str, str]) -> None:
    start_consumer("-w", "2", "-k", "process")
    port = env["WORKER_METRICS_PORT"]
    until(lambda: samples(port)["huey_consumers"] == 2, 30, "both children are there to take a share")
    results = [work.whose_pid() for _ in range(20)]
    pids = {result.get(blocking=True, timeout=20) for result in results}
    assert len(pids) == 2, "both children had a share"
    until(lambda: counted(port, "success_total", "test.whose_pid") == 20, 30, lambda: get(port, "/metrics")[1])
    found = samples(port)
    assert counted(port, "started_total", "test.whose_pid") == 20
    assert found['huey_task_duration_seconds_count{task_name="test.whose_pid"}'] == 20
    assert found['huey_task_wait_seconds_count{lane="ingest"}'] == 20
    assert (found["huey_workers"], found["huey_workers_stuck"], found["huey_consumers"]) == (2, 0, 2)

    os.kill(max(pids), signal.SIGKILL)
    until(lambda: not psutil.pid_exists(max(pids)), 30, "the consumer has noticed the death")
    assert counted(port, "success_total", "test.whose_pid") == 20, "what a dead child had counted stays"
    work.whose_pid().get(blocking=True, timeout=20)
    until(lambda: counted(port, "success_total", "test.whose_pid") == 21, 30)


def test_a_frozen_child_is_told_from_a_working_one(start_consumer: StartConsumer, env: dict[str, str]) -> None:
    consumer = start_consumer("-w", "1", "-k", "process")
    port = env["WORKER_METRICS_PORT"]
    child = psutil.Process(work.whose_pid().get(blocking=True, timeout=20))
    assert child.ppid() == consumer.pid
    assert get(port, "/health")[0] == 200
    child.suspend()
    try:
        until(lambda: get(port, "/health")[0] == 503, 30, lambda: get(port, "/metrics")[1])
        assert json.loads(get(port, "/health")[1])["workers"] == "unavailable"
    finally:
        child.resume()
    until(lambda: get(port, "/health")[0] == 200, 30)


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_task_past_its_timeout_changes_the_answer(
    start_consumer: StartConsumer, env: dict[str, str], kind: str
) -> None:
    start_consumer("-w", "1", "-k", kind)
    port = env["WORKER_METRICS_PORT"]
    work.sits_in_c(8)
    wanted = {"status": "unavailable", "broker": "ok", "database": "ok", "workers": "unavailable"}
    until(lambda: answered(port) == (503, wanted), 30, lambda: answered(port))
    assert samples(port)["huey_workers_stuck"] == 1
    until(lambda: get(port, "/health")[0] == 200, 30, "well again once the task has ended")


def test_one_of_two_workers_held_is_no_outage(start_consumer: StartConsumer, env: dict[str, str]) -> None:
    start_consumer("-w", "2")
    port = env["WORKER_METRICS_PORT"]
    work.sits_in_c(6)
    until(lambda: samples(port)["huey_workers_stuck"] == 1, 30)
    assert get(port, "/health")[0] == 200


def test_a_scrape_has_every_metric_of_the_table(start_consumer: StartConsumer, env: dict[str, str]) -> None:
    start_consumer()
    text = get(env["WORKER_METRICS_PORT"], "/metrics")[1]
    kinds = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE"))
    for row in TABLE:
        name = f"{row.name}_total" if row.type == "counter" else row.name
        assert kinds.get(name) == row.type, name
    found = samples(env["WORKER_METRICS_PORT"])
    assert found["skeldir_database_read"] == 1
    assert (found["huey_consumers"], found["huey_notify_available"]) == (1, 1)
    assert found["huey_dead_letters_open"] == 0
    assert 'huey_queue_depth{lane="ingest"}' in found
