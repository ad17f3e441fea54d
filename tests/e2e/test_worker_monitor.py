"""The user's own command serves /health and /metrics, and counts what its jobs did."""

from __future__ import annotations

import http.client
import json
import re
import socket
import sys
from pathlib import Path

import pytest

from skeldir_huey import config
from skeldir_huey.tasks.housekeeping import ping
from tests.e2e.conftest import StartConsumer
from tests.waiting import until

COMMAND = [str(Path(sys.executable).parent / "huey_consumer"), "skeldir_huey.main.huey", "-w", "1"]


def get(port: str, path: str) -> tuple[int, str]:
    client = http.client.HTTPConnection("127.0.0.1", int(port), timeout=10)
    try:
        client.request("GET", path)
        response = client.getresponse()
        return response.status, response.read().decode()
    finally:
        client.close()


def counted(port: str, outcome: str) -> float:
    task = r'\{task_name="skeldir\.housekeeping\.ping"\}'
    found = re.search(rf"^huey_task_{outcome}{task} (\S+)$", get(port, "/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else 0


def test_a_consumer_answers_and_counts(
    start_consumer: StartConsumer, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKELDIR_TEST_TASKS", "1")
    config.reload()
    start_consumer(command=COMMAND)
    port = env["WORKER_METRICS_PORT"]
    status, body = get(port, "/health")
    assert (status, json.loads(body)) == (200, {"status": "ok", "broker": "ok", "database": "ok"})
    until(lambda: counted(port, "success_total") == 1, 10, "the ping of the start is counted")
    ping(fail=True)
    until(lambda: counted(port, "failure_total") == 1, 10, "the failed ping is counted")
    assert counted(port, "success_total") == 1
    assert counted(port, "started_total") == counted(port, "duration_seconds_count") == 2


def test_a_taken_port_is_logged_once_and_jobs_run(start_consumer: StartConsumer, env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(env["WORKER_METRICS_PORT"]))):
        consumer = start_consumer(command=COMMAND)
        assert len(consumer.events("monitor_port_taken")) == 1
