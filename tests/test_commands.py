"""The user's own commands as real processes: what they find with nothing set, and how a wrong setting ends them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from skeldir_huey.cli import COMMANDS
from tests.cluster import Cluster, Database
from tests.processes import BIN, ME, ROOT, Running, bare_env, free_ports, of_folder, run
from tests.waiting import until

OWN = {
    "worker": [str(BIN / "huey_consumer"), "skeldir_huey.main.huey", "-w", "1"],
    "flask": [str(BIN / "flask"), "--app", "admin", "run", "-p", "0"],
    "web": [*ME, "web"],
    "alembic": [str(BIN / "alembic"), "upgrade", "head"],
    "ping": [*ME, "ping"],
    "run": [*ME, "run"],
    "demo": [*ME, "demo"],
}
WRONG = {
    "mysql": ("mysql://u:geheim@h/d", 2, "expected a PostgreSQL URL"),
    "no_url": ("geheim", 2, "got no URL"),
    "refused": ("postgresql://u:geheim@127.0.0.1:1/d", 1, "Connection refused"),
}


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data folder of the test's own; whatever serves it is stopped at the end."""
    folder = tmp_path / "data"
    yield folder
    run([*ME, "stop"], bare_env(folder))
    assert of_folder(folder) == []
    shutil.rmtree(folder, ignore_errors=True)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the only line on stderr; nothing else was printed."""
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and done.stdout == "", (done.stdout, done.stderr)
    return lines[0]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", OWN)
def test_a_wrong_url_ends_each_command_with_one_line(name: str, wrong: str, tmp_path: Path) -> None:
    url, code, words = WRONG[wrong]
    (port,) = free_ports(1)
    variable = {"flask": "DATABASE_CONSOLE_URL", "web": "DATABASE_CONSOLE_URL"}.get(name, "DATABASE_URL")
    done = run(OWN[name], bare_env(tmp_path / "data", SKELDIR_WEB_PORT=port) | {variable: url})
    line = one_line(done)
    assert done.returncode == code
    assert variable in line and words in line
    assert "geheim" not in line and "Traceback" not in line
    assert not (tmp_path / "data" / "pgdata").exists()


def test_honcho_ends_with_the_line_of_what_could_not_start(tmp_path: Path) -> None:
    env = bare_env(tmp_path / "data", DATABASE_CONSOLE_URL="mysql://h/d", SKELDIR_WEB_PORT=free_ports(1)[0])
    done = run([str(BIN / "honcho"), "start"], env)
    assert done.returncode != 0
    assert "DATABASE_CONSOLE_URL: expected a PostgreSQL URL" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_with_nothing_set_each_command_finds_the_embedded_server_and_says_so(data_dir: Path) -> None:
    web, metrics = free_ports(2)
    env = bare_env(data_dir, SKELDIR_WEB_PORT=web, WORKER_METRICS_PORT=metrics)
    unmigrated = run(OWN["worker"], env)
    assert unmigrated.returncode == 1
    assert "started the embedded PostgreSQL" in unmigrated.stderr
    assert "run `alembic upgrade head`" in unmigrated.stderr.splitlines()[-1]
    assert not (ROOT / ".env.new").exists()

    for target in ("head", "skeldir_foundation@head"):
        done = run([str(BIN / "alembic"), "upgrade", target], env)
        assert done.returncode == 0, done.stderr
        assert f"using the embedded PostgreSQL in {data_dir}" in done.stderr
    assert "nothing to do" in done.stderr

    procfile = Running([str(BIN / "honcho"), "start"], env)
    flask = Running([*OWN["flask"][:-1], free_ports(1)[0]], env)
    try:
        until(lambda: run([*ME, "ping", "--timeout", "5"], env).returncode == 0, 60, lambda: procfile.text)
        procfile.until_it_prints(f'"url":"http://127.0.0.1:{web}/admin/"')
        flask.until_it_prints("Running on http")
        address = re.search(r"Running on (http://[\d.]+:\d+)", flask.text)
        assert address is not None
        for base in (f"http://127.0.0.1:{web}", address[1]):
            with urllib.request.urlopen(f"{base}/healthz", timeout=30) as answer:
                assert answer.status == 200
        for running in (procfile, flask):
            assert "using the embedded PostgreSQL" in running.text
        status = run([*ME, "status"], env)
        assert status.returncode == 0 and "1 alive" in status.stdout
        procfile.end()
    finally:
        procfile.close()
        flask.close()
    stopped = run([*ME, "stop"], env)
    assert (stopped.returncode, stopped.stdout) == (0, "stopped the embedded PostgreSQL\n")
    assert run([*ME, "stop"], env).stdout == "nothing is running\n"
    assert run([*ME, "status"], env).returncode == 1


def test_two_first_commands_at_once_make_one_server(data_dir: Path) -> None:
    env = bare_env(data_dir)
    both = [Running(OWN["alembic"], env) for _ in range(2)]
    try:
        assert [running.ended(60) for running in both] == [0, 0], [running.text for running in both]
        said = "".join(running.text for running in both)
        assert said.count("started the embedded PostgreSQL") == said.count("using the embedded PostgreSQL") == 1
        assert said.count("applied 0001") == 1
    finally:
        for running in both:
            running.close()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = run(OWN["ping"], bare_env(tmp_path / "file" / "data"))
    assert done.returncode == 1
    assert one_line(done).startswith("skeldir: SKELDIR_DATA_DIR: cannot write")


def test_a_ping_that_nobody_answers_fails_in_one_line(env: dict[str, str]) -> None:
    done = run([*ME, "ping", "--timeout", "0.3"], env)
    assert done.returncode == 1
    assert "no answer within 0.3 s" in one_line(done)


@pytest.mark.parametrize("timeout", ["0", "-1", "soon", "nan"])
def test_a_ping_refuses_a_wrong_timeout(timeout: str, env: dict[str, str]) -> None:
    done = run([*ME, "ping", f"--timeout={timeout}"], env)
    assert done.returncode == 2
    assert one_line(done).startswith("skeldir: --timeout: expected seconds")


@pytest.mark.parametrize("url", ["DATABASE_URL", "DATABASE_CONSOLE_URL"])
def test_a_role_that_is_too_strong_is_refused(url: str, env: dict[str, str]) -> None:
    command = OWN["worker"] if url == "DATABASE_URL" else OWN["web"]
    for login, fault in (("DATABASE_OWNER_URL", "may create roles"), ("superuser", "is superuser")):
        strong = env.get(login) or env["DATABASE_URL"].replace("app_user@", "postgres@")
        done = run(command, env | {url: strong})
        assert done.returncode == 1
        assert fault in one_line(done)


def test_help_lists_every_command_and_each_has_help(tmp_path: Path) -> None:
    env = bare_env(tmp_path / "data")
    listed = run([*ME, "--help"], env)
    assert listed.returncode == 0 and all(name in listed.stdout for name in COMMANDS)
    assert run(ME, env).stdout == listed.stdout
    for name in COMMANDS:
        shown = run([*ME, name, "--help"], env)
        assert shown.returncode == 0 and f"skeldir_huey {name}" in shown.stdout, shown.stderr
    assert run([*ME, "nonsense"], env).returncode == 2
    assert not (tmp_path / "data").exists()


def test_make_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    # As from a shell: below `make test` a make would announce the folders that it enters.
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}

    def make(*targets: str) -> str:
        return subprocess.run(["make", *targets], cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout

    shown = make("help")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert [line.split()[1] for line in shown.splitlines()] == phony.split()
    assert make() == shown


def test_virtualenv_that_was_killed_half_made_is_made_again(tmp_path: Path) -> None:
    """Its interpreter is there first, pip last: seen with kill -9 while `make run` made it, "No module named pip"."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").touch()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}

    def planned() -> str:
        done = subprocess.run(
            ["make", "-n", "install"], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert "-m venv .venv" in planned()
    (tmp_path / ".venv/bin/pip").touch()
    assert "-m venv .venv" not in planned() and "pip install" in planned()


def test_reset_refuses_a_database_that_is_not_the_embedded_one(env: dict[str, str], database: Database) -> None:
    done = run([*ME, "demo", "--reset"], env)
    assert done.returncode == 2 and one_line(done).startswith("skeldir: --reset: a database URL is set")
    assert database.value("select count(*) from tenants") == 0


@pytest.mark.parametrize("login", ["postgres", "boss"])
def test_run_makes_the_roles_of_a_foreign_database_and_writes_them_down(login: str, tmp_path: Path) -> None:
    cluster = Cluster()
    try:
        cluster.start()
        server = cluster.database("postgres").connect(autocommit=True)
        with server.cursor() as cursor:
            cursor.execute("create role boss login createrole password 'x'; create role weak login")
            cursor.execute("create database shop owner boss")
        server.close()
        (cluster.data / "pg_hba.conf").write_text("local all postgres,boss,weak trust\nlocal all all scram-sha-256\n")
        cluster.database("postgres").query("select pg_reload_conf()")
        shop = cluster.database("shop")
        web, metrics = free_ports(2)
        env = bare_env(tmp_path / "data", SKELDIR_WEB_PORT=web, WORKER_METRICS_PORT=metrics)

        weak = run([*ME, "run"], env | {"DATABASE_URL": shop.dsn("weak")})
        assert weak.returncode == 2 and "may not create roles" in one_line(weak)

        given = env | {"DATABASE_URL": shop.dsn(login)}
        running = Running([*ME, "run", "--no-demo"], given)
        try:
            running.until_it_prints("Ctrl-C stops everything")
            # In the same shell, where DATABASE_URL is still the owner's, a command uses the worker's login.
            assert run([*ME, "ping"], given).returncode == 0
            assert run([*ME, "ping"], env).returncode == 0
            assert running.end() == 0
        finally:
            running.close()
        file = tmp_path / "data" / "env"
        recorded = dict(line.split("=", 1) for line in file.read_text().splitlines() if not line.startswith("#"))
        assert list(recorded) == [
            "DATABASE_OWNER_URL",
            "DATABASE_URL",
            "DATABASE_CONSOLE_URL",
            "DATABASE_DIRECT_URL",
        ]
        assert file.stat().st_mode & 0o077 == 0
        assert shop.value("select count(*) from tenants") == 0
        password = re.search(r"app_user:([^@]+)@", recorded["DATABASE_URL"])
        assert password is not None and password[1] not in cluster.log()
    finally:
        cluster.remove()


def test_python_can_import_the_application_without_a_database(tmp_path: Path) -> None:
    """`main` opens no connection and starts no server."""
    done = run([sys.executable, "-c", "import skeldir_huey.main"], bare_env(tmp_path / "data"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "data").exists()
