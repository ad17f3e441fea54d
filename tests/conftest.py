"""One embedded cluster per process of pytest, one fresh copy of the migrated template database per test."""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis
from psycopg2.extensions import cursor as Cursor

from skeldir_huey import config, log
from skeldir_huey.db import engine
from tests.cluster import Cluster, Database
from tests.processes import free_ports

# A busy machine makes no example wrong; what takes too long for a test, pytest-timeout says.
hypothesis.register_profile("steady", deadline=None, suppress_health_check=list(HealthCheck))
hypothesis.load_profile("steady")

ROOT = Path(__file__).parents[1]
TEMPLATE = "skeldir_template"

# In CI a skipped test is a failure, unless its node id stands here with the reason.
ALLOWED_SKIPS: dict[str, str] = {}

_NEEDED = {
    "chromium": ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    "pgbouncer": ("pgbouncer",),
    "promtool": ("promtool",),
}
_numbers = itertools.count(1)


def program(marker: str) -> str | None:
    """Return the path of the program that tests with this marker need, or None."""
    return next((path for name in _NEEDED[marker] if (path := shutil.which(name))), None)


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for marker in _NEEDED:
        if program(marker) is None:
            for item in items:
                if item.get_closest_marker(marker):
                    item.add_marker(pytest.mark.skip(reason=f"{marker} is not installed"))


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure where nobody would see it."""
    if report.skipped and in_ci() and report.nodeid not in ALLOWED_SKIPS and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, and not listed in ALLOWED_SKIPS: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    for reason, count in reasons.items():
        terminalreporter.write_line(f"SKIPPED {count} tests: {reason.removeprefix('Skipped: ')}", yellow=True)


def alembic_config() -> Config:
    return Config(str(ROOT / "alembic.ini"))


def prepare(cluster: Cluster) -> None:
    """Make the roles, and the template database, migrated by its owner."""
    server = cluster.database("postgres")
    server.query("create role skeldir_owner login createrole noinherit")
    server.query((ROOT / "skeldir_huey/db/sql/roles.sql").read_text(encoding="utf-8"))
    server.query("grant skeldir_maint to skeldir_owner")
    admin = server.connect(autocommit=True)
    with admin.cursor() as cursor:
        cursor.execute(f"create database {TEMPLATE} owner skeldir_owner")
    admin.close()
    with pytest.MonkeyPatch.context() as patch:
        point_at(cluster.database(TEMPLATE), patch)
        command.upgrade(alembic_config(), "head")
        engine.dispose()
    config.settings.cache_clear()


def point_at(database: Database, patch: pytest.MonkeyPatch) -> None:
    """Make every engine of this process use this database."""
    engine.dispose()
    for name, value in database.env.items():
        patch.setenv(name, value)
    config.settings.cache_clear()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running server with all roles and the migrated template; PostgreSQL 18, or what SKELDIR_TEST_PG says."""
    made = Cluster(int(os.environ.get("SKELDIR_TEST_PG", "18")))
    try:
        made.start()
        prepare(made)
        yield made
    finally:
        made.remove()


def let_go(cursor: Cursor, name: str) -> None:
    """Wait until closed connections have ended, at most 0.1 s: a drop that meets one sleeps as long as that."""
    ends = time.monotonic() + 0.1
    while time.monotonic() < ends:
        cursor.execute("select from pg_stat_activity where datname = %s limit 1", (name,))
        if not cursor.rowcount:
            return


@contextmanager
def copy_of_template(cluster: Cluster) -> Iterator[Database]:
    """A fresh copy of the migrated database, dropped at the end whoever is still connected."""
    made = Database(f"test_{next(_numbers)}", cluster.root, kept=[])
    admin = cluster.database("postgres").connect(autocommit=True)
    try:
        with admin.cursor() as cursor:
            # Files are copied, not logged block by block: a third of the time.
            cursor.execute(f"create database {made.name} template {TEMPLATE} owner skeldir_owner strategy file_copy")
        yield made
        made.close()
        with admin.cursor() as cursor:
            let_go(cursor, made.name)
            cursor.execute(f"drop database {made.name} with (force)")
    finally:
        admin.close()


@pytest.fixture
def database(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Database]:
    """A fresh copy of the migrated database; settings and engines of this process point at it."""
    with copy_of_template(cluster) as made:
        monkeypatch.setenv("SKELDIR_DATA_DIR", str(tmp_path / "data"))
        point_at(made, monkeypatch)
        yield made
        engine.dispose()
        monkeypatch.undo()
        config.settings.cache_clear()


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    return int(free_ports(1)[0])


@pytest.fixture
def env(database: Database, tmp_path: Path, free_port: int) -> dict[str, str]:
    """The environment of subprocesses that work on this test's database."""
    return (
        os.environ
        | database.env
        | {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "SKELDIR_DATA_DIR": str(tmp_path / "data"),
            "SKELDIR_SECRET_KEY": "tests-only-secret-key-of-enough-length",
            "WORKER_METRICS_PORT": str(free_port),
        }
    )


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium; mark such tests with `chromium`."""
    path = program("chromium")
    assert path is not None, "mark this test with pytest.mark.chromium"
    return path


class JsonLog:
    """What was logged: the lines of a buffer."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def reinstall(self) -> None:
        """Take the lines again, after something that sends them elsewhere."""
        log.install("DEBUG", self.stream)

    def text(self) -> str:
        return self.stream.getvalue()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines()]


@pytest.fixture
def json_log() -> Iterator[JsonLog]:
    """JSON logs of this process in a buffer; the handlers that were there come back afterwards."""
    root, huey = logging.getLogger(), logging.getLogger("huey")
    before = root.handlers[:], root.level, huey.handlers[:], huey.level, huey.propagate
    root.handlers.clear()  # pytest's own, which install() would close
    made = JsonLog()
    log.install("DEBUG", made.stream)
    yield made
    root.handlers[:], level, huey.handlers[:], huey.level, huey.propagate = before
    root.setLevel(level)


@pytest.fixture
def template(cluster: Cluster) -> Database:
    """The migrated template itself, for tests that read it or roll back; close every connection to it."""
    return cluster.database(TEMPLATE)
