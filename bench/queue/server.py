"""The PostgreSQL 18 of one run: the product's embedded one, in a temporary folder, with its own defaults."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from bench.queue.systems import ROOT
from skeldir_huey.db import bootstrap, embedded

TEMPLATE = "bench_template"
SAFE = ("fsync", "synchronous_commit", "full_page_writes")


class Server:
    """A running server; `folder` is also where notes and logs of the run go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        found = bootstrap.ensure_embedded(folder, lambda line: None)
        self.socket, self.pid = found.socket_dir, found.pid
        self.log = found.pgdata / "log"
        self._admin = self.connect("postgres")
        self._made = 0
        self.run("alter system set log_line_prefix = '%n|%p|%d|'")
        self.run("select pg_reload_conf()")
        off = [name for name in SAFE if self.run(f"show {name}")[0][0] != "on"]
        if off:
            raise SystemExit(f"the server is not durable: {', '.join(off)}")
        self.version = str(self.run("show server_version")[0][0])

    def connect(self, database: str) -> Any:
        """Open an autocommitting connection as superuser."""
        connection = psycopg2.connect(self.dsn("postgres", database), application_name="bench")
        connection.autocommit = True
        return connection

    def dsn(self, user: str, database: str) -> str:
        return f"postgresql://{user}@/{database}?host={self.socket}&port=5432"

    def run(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run one statement in the database postgres, and return its rows."""
        with self._admin.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def make_template(self) -> None:
        """Migrate the database that ours are copied from."""
        self.run(f"create database {TEMPLATE} owner {bootstrap.OWNER}")
        done = subprocess.run(
            [sys.executable, "-m", "alembic", "upgrade", "head"],
            cwd=ROOT,
            env=clean_environment() | self.settings(TEMPLATE),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"the migrations failed:\n{done.stderr}")

    def settings(self, database: str) -> dict[str, str]:
        """Return the product's settings for a database."""
        logins = {"": "app_user", "_DIRECT": "app_user", "_CONSOLE": "console", "_OWNER": bootstrap.OWNER}
        urls = {
            f"DATABASE{which}_URL": self.dsn(login, database).replace("postgresql:", "postgresql+psycopg2:", 1)
            for which, login in logins.items()
        }
        return urls | {"SKELDIR_ENV_FILE": os.devnull, "SKELDIR_DATA_DIR": str(self.folder)}

    def make_database(self, ours: bool) -> str:
        """Make a fresh database and return its name."""
        self._made += 1
        name = f"bench_{self._made}"
        self.run(f"create database {name}" + (f" template {TEMPLATE} owner {bootstrap.OWNER}" if ours else ""))
        return name

    def drop_database(self, name: str) -> None:
        self.run(f"drop database if exists {name} with (force)")

    def clients(self, database: str) -> int:
        """Count the sessions of a database, without our own."""
        rows = self.run(
            "select count(*) from pg_stat_activity"
            " where datname = %s and backend_type = 'client backend' and application_name <> 'bench'",
            (database,),
        )
        return int(rows[0][0])

    def close(self) -> None:
        self._admin.close()


def clean_environment() -> dict[str, str]:
    """Return this process's environment without settings that would lead elsewhere."""
    strange = ("PG", "DATABASE_", "SKELDIR_", "WORKER_", "HUEY_", "PROCRASTINATE_", "CELERY_", "BENCH_")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(strange)}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def running() -> Iterator[Server]:
    """Start a server in a temporary folder; stop it and delete the folder at the end, however that comes."""
    folder = Path(tempfile.mkdtemp(prefix="skeldir-bench-"))
    try:
        server = Server(folder)
        try:
            yield server
        finally:
            server.close()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave a server behind
        embedded.stop(folder, lambda line: None)
        shutil.rmtree(folder, ignore_errors=True)
