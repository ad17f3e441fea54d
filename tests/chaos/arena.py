"""A cluster of the run's own, with fsync; the proxy in front of it, and consumers that are kept running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any
from uuid import UUID

import psutil
import pytest

from skeldir_huey import config
from skeldir_huey.db import engine
from tests.chaos import work
from tests.chaos.proxy import Proxy
from tests.cluster import Cluster
from tests.conftest import ROOT, TEMPLATE, point_at, prepare
from tests.factories import make_tenant
from tests.processes import BIN, free_ports
from tests.waiting import until

LAG_LIMIT_S = 1.0
LOAD_LIMIT = 4.0  # a run by itself makes one to one and a half


class Consumer:
    """One `huey_consumer`, started again whenever it has ended."""

    def __init__(self, name: str, options: tuple[str, ...], env: dict[str, str], logs: Path) -> None:
        self.name = name
        self.options = options
        self.is_process = "process" in options
        self.starts = 0
        self.wanted = True
        self._env, self._logs = env, logs
        self.process: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        self.starts += 1
        self.restarts = 0  # by itself, in the same process
        self._seen_up: float | None = None
        self.log = self._logs / f"{self.name}-{self.starts}.log"
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen(
                [str(BIN / "huey_consumer"), "tests.chaos.consumer.huey", *self.options],
                stdout=stream,
                stderr=stream,
                cwd=ROOT,
                env=self._env,
                start_new_session=True,
            )

    @property
    def is_up(self) -> bool:
        """Say whether it runs and has said that it started, after a SIGHUP once more."""
        said = self.log.read_bytes().count(b'"consumer_started"')
        return self.process.poll() is None and said > self.restarts

    def up_s(self) -> float:
        """Return for how many seconds it has been up, as far as was seen; 0 when it is not."""
        return time.monotonic() - self._seen_up if self._seen_up is not None and self.is_up else 0.0

    def look(self) -> None:
        """Start it again if it has ended; note when it came up."""
        if self.wanted and self.process.poll() is not None:
            self.start()
        if self._seen_up is None and self.is_up:
            self._seen_up = time.monotonic()

    def restarting(self) -> None:
        """Note that it was told to restart itself."""
        self.restarts += 1
        self._seen_up = None

    def pids(self) -> list[int]:
        """Return its process and its children."""
        try:
            return [self.process.pid, *(child.pid for child in psutil.Process(self.process.pid).children())]
        except psutil.NoSuchProcess:
            return [self.process.pid]

    def kill(self) -> None:
        """End it and everything of its session."""
        self.wanted = False
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Arena:
    """Everything that a run needs; made by `arena()`."""

    def __init__(self, cluster: Cluster, database: Any, proxy: Proxy, folder: Path) -> None:
        self.cluster, self.database, self.proxy, self.folder = cluster, database, proxy, folder
        self.tenants: list[UUID] = [make_tenant(database, name) for name in ("alpha", "beta", "gamma")]
        self.consumers: list[Consumer] = []
        self.lag = Lag()
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep_running, daemon=True)
        self._keeper.start()

    def start_consumer(self, name: str, *options: str, **settings: str) -> Consumer:
        """Start a consumer; it is kept running until `stop_consumers`."""
        env = {
            **{key: text for key, text in os.environ.items() if not key.startswith("SKELDIR_MUTANT")},
            "PYTHONPATH": str(ROOT),
            "CHAOS_PARENT": str(os.getpid()),
            "WORKER_METRICS_PORT": free_ports(1)[0],
            **settings,
        }
        consumer = Consumer(name, options, env, self.folder)
        self.consumers.append(consumer)
        return consumer

    def wait_until_up(self) -> None:
        """Wait until every consumer runs and holds its claims' lock."""
        until(lambda: all(one.is_up for one in self.consumers), 60, self.last_words)

    def stop_consumers(self) -> None:
        """End every consumer in order; one that does not end within 20 s is a failure."""
        for consumer in self.consumers:
            consumer.wanted = False
            for pid in consumer.pids():
                _signal(pid, signal.SIGCONT)
            _signal(consumer.process.pid, signal.SIGTERM)
        try:
            for consumer in self.consumers:
                consumer.process.wait(20)
        finally:
            for consumer in self.consumers:
                consumer.kill()
            self.consumers.clear()

    def query(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Ask the database past the proxy, as superuser."""
        rows: list[tuple[Any, ...]] = self.database.query(statement, parameters)
        return rows

    def events(self, *names: str) -> dict[str, int]:
        """Count events in the logs of all consumers."""
        found = dict.fromkeys(names, 0)
        for log in self.folder.glob("*.log"):
            for line in log.read_text(errors="replace").splitlines():
                try:
                    event = json.loads(line)["event"]
                except (ValueError, KeyError, TypeError):
                    continue  # the starts, or a line that a kill tore
                if event in found:
                    found[event] += 1
        return found

    def last_words(self) -> str:
        """Return the ends of the consumers' logs."""
        return "\n".join(f"{one.name}: {one.log.read_text(errors='replace')[-1500:]}" for one in self.consumers)

    def _keep_running(self) -> None:
        while not self._closing.wait(0.1):
            for consumer in list(self.consumers):
                consumer.look()

    def close(self) -> None:
        self._closing.set()
        self._keeper.join(5)
        self.lag.stop()
        for consumer in self.consumers:
            consumer.kill()


class Lag(threading.Thread):
    """Measures how late this machine wakes a thread up, and how many threads compete for a processor.

    With too much of either no figure of time means anything.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.late_s: list[float] = []
        self.load: list[float] = []  # per processor
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        while True:
            began = time.monotonic()
            if self._over.wait(0.05):
                return
            self.late_s.append(time.monotonic() - began - 0.05)
            self.load.append(os.getloadavg()[0] / (os.cpu_count() or 1))

    def clear(self) -> None:
        """Forget what was before."""
        self.late_s.clear()
        self.load.clear()

    def too_busy(self) -> str | None:
        """Return why times that were taken meanwhile are not the product's; None if they are."""
        p99, load = quantiles(self.late_s or [0.0, 0.0], n=100)[-1], fmean(self.load or [0.0])
        if p99 > LAG_LIMIT_S:
            return f"this machine wakes threads {p99:.1f} s late (p99)"
        return f"{load:.1f} threads compete for each processor" if load > LOAD_LIMIT else None

    def stop(self) -> None:
        self._over.set()


def _signal(pid: int, what: signal.Signals) -> None:
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        pass


@contextmanager
def arena(keep: Path | None = None) -> Iterator[Arena]:
    """Make everything, and take it away again.

    Args:
        keep: where to move the logs afterwards; None deletes them.
    """
    cluster = Cluster(safe=True)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    made: Arena | None = None
    proxy: Proxy | None = None
    try:
        cluster.start()
        prepare(cluster)
        with pytest.MonkeyPatch.context() as patch:
            database = cluster.database("chaos")
            admin = cluster.database("postgres").connect(autocommit=True)
            admin.cursor().execute(f"create database chaos template {TEMPLATE} owner skeldir_owner")
            admin.close()
            database.query(work.TABLES)
            proxy = Proxy(cluster.root / ".s.PGSQL.5432")
            point_at(database, patch)
            way = f"postgresql+psycopg2://app_user@127.0.0.1:{proxy.port}/{database.name}"
            for name in ("DATABASE_URL", "DATABASE_DIRECT_URL"):
                patch.setenv(name, f"{way}?sslmode=disable&gssencmode=disable")
            patch.setenv("SKELDIR_DATA_DIR", str(folder))
            patch.setenv("CHAOS_FOLDER", str(folder))
            patch.setenv("CHAOS_EPOCH", str(time.time()))
            config.settings.cache_clear()
            made = Arena(cluster, database, proxy, folder)
            try:
                yield made
            finally:
                made.close()
                engine.dispose()
                work.huey.storage.close()
    finally:
        config.settings.cache_clear()
        if proxy is not None:
            proxy.close()
        cluster.remove()
        if keep is not None:
            shutil.copytree(folder, keep, dirs_exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def say(line: str) -> None:
    """Print a line of progress."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
