"""What real processes write: one JSON object per line, nothing twice, and as much as -v, -q and -l say."""

from __future__ import annotations

import json
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests import work
from tests.cluster import Database
from tests.e2e.conftest import BIN, StartConsumer
from tests.processes import Running, free_ports, run
from tests.waiting import until


def options(*more: str) -> list[str]:
    return [str(BIN / "huey_consumer"), "tests.work.huey", "-w", "1", *more]


def done(lines: list[dict[str, Any]], task_id: str) -> bool:
    return any(line["event"] == "job_done" and line["task_id"] == task_id for line in lines)


def parsed(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_log_file_gets_everything_and_stderr_nothing(start_consumer: StartConsumer, tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    consumer = start_consumer(command=options("-l", str(path)))
    result = work.add(1, 2)
    until(lambda: done(parsed(path.read_text()), result.id), 30)
    assert consumer.log.read_text() == ""
    assert "debug" not in {line["level"] for line in parsed(path.read_text())}


def test_quiet_tells_of_warnings_and_errors(start_consumer: StartConsumer) -> None:
    consumer = start_consumer(command=options("-q"))
    work.add(1, 2).get(blocking=True, timeout=30)
    work.exits()
    until(lambda: consumer.events("job_dead"), 30)
    assert {line["level"] for line in consumer.lines()} <= {"warning", "error"}


def test_verbose_tells_how_each_attempt_began(start_consumer: StartConsumer) -> None:
    consumer = start_consumer(command=options("-v"))
    result = work.add(1, 2)
    until(lambda: done(consumer.lines(), result.id), 30)
    assert [line["attempt"] for line in consumer.events("job_started") if line["task_id"] == result.id] == [1]


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_nothing_is_logged_twice(start_consumer: StartConsumer, kind: str) -> None:
    consumer = start_consumer("-w", "2", "-k", kind)
    ids = [work.add(number, 2).id for number in range(20)]
    until(lambda: all(done(consumer.lines(), task_id) for task_id in ids), 30)
    consumer.end()
    texts = [{name: value for name, value in line.items() if name != "time"} for line in consumer.lines()]
    told = [json.dumps(text, sort_keys=True) for text in texts if text["event"] != "log" or text["level"] != "debug"]
    assert sorted(told) == sorted(set(told))
    assert [line["task_id"] for line in consumer.events("job_done") if line["task_id"] in ids].count(ids[0]) == 1


def test_the_console_writes_one_object_per_line(database: Database, env: dict[str, str]) -> None:
    (port,) = free_ports(1)
    web = Running([sys.executable, "-m", "skeldir_huey", "web"], env | {"SKELDIR_WEB_PORT": port})
    try:
        web.until_it_prints("console_started")
        for path in ("/admin/?tenant=ann%40example.org", "/no-such-page"):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30).close()
            except urllib.error.HTTPError:
                pass
        until(lambda: web.text.count("http_request") >= 3, 30, lambda: web.text)  # the first leads to the sign-in
        web.end(signal.SIGTERM)  # a shell's background job is born deaf to SIGINT
    finally:
        web.close()
    lines = parsed(web.text)
    requests = [line for line in lines if line["event"] == "http_request"]
    assert {line["status"] for line in requests} == {200, 302, 404}
    assert len({line["correlation_id"] for line in requests}) == len(requests)
    assert "ann" not in web.text


def test_a_command_logs_json_and_speaks_plainly(database: Database, env: dict[str, str]) -> None:
    """Without the level set it logs warnings and above; its own words stay words."""
    ping = [sys.executable, "-m", "skeldir_huey", "ping", "--timeout", "0.1"]
    plain = run(ping, env)
    assert plain.returncode == 1 and plain.stderr.startswith("skeldir: ")
    loud = run(ping, env | {"SKELDIR_LOG_LEVEL": "DEBUG"})
    for line in loud.stderr.splitlines():
        assert line.startswith("skeldir: ") or json.loads(line)["event"]
