"""`make run` as a person uses it: up, working, stopped with one key, and nothing left behind whatever dies."""

from __future__ import annotations

import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest

from skeldir_huey.db import embedded
from skeldir_huey.db.bootstrap import dsn
from tests.processes import ME, ROOT, Running, bare_env, free_ports, of_folder, run
from tests.waiting import until

UP_WITHIN_S = 60
RUNS = "select count(*) from attribution_recompute_jobs where status = 'succeeded'"
LETTERS = "select task_name, status, retry_count from worker_failed_jobs"
TABLES = ("tenants", "attribution_events", "attribution_allocations", "worker_failed_jobs", "console_user")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder of the test's own, in which nothing runs afterwards."""
    made = tmp_path / "data"
    yield made
    run([*ME, "stop"], bare_env(made))
    assert of_folder(made) == []


@pytest.fixture
def env(folder: Path) -> dict[str, str]:
    web, metrics = free_ports(2)
    return bare_env(folder, SKELDIR_WEB_PORT=web, WORKER_METRICS_PORT=metrics)


@pytest.fixture
def supervisor(env: dict[str, str]) -> Iterator[Running]:
    """A `run` that is up."""
    running = Running([*ME, "run"], env)
    try:
        running.until_it_prints("Ctrl-C stops everything", UP_WITHIN_S)
        yield running
    finally:
        running.close()


def ask(folder: Path, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement as superuser of the embedded server, which must be running."""
    server = embedded.running(folder)
    assert server is not None
    connection = psycopg2.connect(dsn(server.url("postgres")))
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()
    finally:
        connection.close()


def counts(folder: Path) -> dict[str, int]:
    return {table: ask(folder, f"select count(*) from {table}")[0][0] for table in TABLES}


def part(folder: Path, words: str) -> psutil.Process:
    """Return the process of this run whose command line has these words, the innermost one."""
    (found,) = [
        process for process in of_folder(folder) if words in " ".join(process.cmdline()) and process.name() != "sh"
    ]
    return found


@pytest.mark.timeout(240)
def test_it_comes_up_works_and_continues_where_it_was(supervisor: Running, folder: Path, env: dict[str, str]) -> None:
    address = f"http://127.0.0.1:{env['SKELDIR_WEB_PORT']}"
    assert address in supervisor.text
    assert re.search(r"Sign in as operator@demo\.example with password \S{12,}", supervisor.text)
    with urllib.request.urlopen(f"{address}/healthz", timeout=30) as answer:
        assert answer.status == 200

    until(lambda: ask(folder, RUNS)[0][0] >= 3, 60, lambda: supervisor.text[-4000:])
    (letter,) = until(lambda: ask(folder, LETTERS), 60, lambda: supervisor.text[-4000:])
    assert letter == ("skeldir.demo.import_rates", "pending", 0)
    until(lambda: ask(folder, "select count(*) from huey.job where state <> 'scheduled'")[0][0] == 0, 60)
    before = counts(folder)
    assert before["tenants"] == 3 and before["attribution_events"] == 5000
    assert before["attribution_allocations"] > 0 and before["console_user"] == 1

    second = run([*ME, "run"], env | {"SKELDIR_WEB_PORT": free_ports(1)[0]})
    assert (second.returncode, second.stdout) == (1, "")
    assert re.fullmatch(r"skeldir: `make run` is up already .*\n", second.stderr)
    elsewhere = bare_env(folder.with_name("other"), SKELDIR_WEB_PORT=env["SKELDIR_WEB_PORT"])
    taken = run([*ME, "run"], elsewhere)
    assert taken.returncode == 1 and not (folder.with_name("other") / "pgdata").exists()
    assert re.fullmatch(r"skeldir: cannot listen on 127\.0\.0\.1:\d+: .*nothing was started.*\n", taken.stderr)

    assert supervisor.end(signal.SIGINT) == 0
    assert of_folder(folder) == []
    assert not re.search(r"^(\S+ \S+ +\| )?Traceback", supervisor.text, re.MULTILINE)  # JSON lines may have one inside

    again = Running([*ME, "run"], env)
    try:
        again.until_it_prints("Ctrl-C stops everything", UP_WITHIN_S)
        assert counts(folder) == before
        assert again.end(signal.SIGTERM) == 0
    finally:
        again.close()
    assert of_folder(folder) == []


@pytest.mark.timeout(180)
@pytest.mark.parametrize("victim", ["huey_consumer", "skeldir_huey web", "honcho"])
def test_a_kill_9_of_any_part_ends_everything_and_stops_the_server(
    victim: str, supervisor: Running, folder: Path
) -> None:
    if victim == "honcho":
        (child,) = psutil.Process(supervisor.process.pid).children()
    else:
        child = part(folder, victim)
    child.kill()
    assert supervisor.ended() == 1
    assert "ended by itself" in supervisor.text
    assert of_folder(folder) == []
    assert embedded.running(folder) is None


@pytest.mark.timeout(180)
def test_after_a_kill_9_of_make_run_itself_stop_cleans_up_and_the_next_one_works(
    supervisor: Running, folder: Path, env: dict[str, str]
) -> None:
    supervisor.process.kill()
    supervisor.ended()
    # Only the server survives: console and worker go with their supervisor.
    until(lambda: {process.name().split(":")[0] for process in of_folder(folder)} <= {"postgres"}, 30)
    assert embedded.running(folder) is not None
    next_one = Running([*ME, "run"], env)
    try:
        next_one.until_it_prints("Ctrl-C stops everything", UP_WITHIN_S)
        stopped = run([*ME, "stop"], env)
        assert stopped.returncode == 0 and "stopped `make run`" in stopped.stdout
        assert next_one.ended() == 0
    finally:
        next_one.close()
    assert of_folder(folder) == []


@pytest.mark.timeout(180)
def test_a_crash_of_the_server_loses_nothing(supervisor: Running, folder: Path, env: dict[str, str]) -> None:
    """A power cut of the database: the next `make run` recovers, with the data as it was."""
    until(lambda: ask(folder, LETTERS), 60)
    until(lambda: ask(folder, "select count(*) from huey.job where state <> 'scheduled'")[0][0] == 0, 60)
    before = counts(folder)
    server = embedded.running(folder)
    assert server is not None
    os.kill(server.pid, signal.SIGQUIT)
    supervisor.end(signal.SIGINT)
    again = Running([*ME, "run"], env)
    try:
        again.until_it_prints("Ctrl-C stops everything", UP_WITHIN_S)
        assert counts(folder) == before
        assert again.end() == 0
    finally:
        again.close()


def test_the_procfile_starts_console_and_worker() -> None:
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    assert [line.split(":")[0] for line in lines] == ["web", "worker"]
    assert lines[1].endswith("huey_consumer skeldir_huey.main.huey -w 1")
