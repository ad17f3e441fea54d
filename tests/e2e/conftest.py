"""Real consumer processes on the test's database, and what each browser test begins with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from skeldir_huey.tasks.housekeeping import ping
from tests import work
from tests.admin.world import World, make_world
from tests.cluster import Database
from tests.conftest import ROOT
from tests.e2e.chrome import browser, console
from tests.waiting import until

BIN = Path(sys.executable).parent

expect.set_options(timeout=20_000)  # patience of a busy machine: what is there already is not waited for


@dataclass
class ConsumerProcess:
    """A running `huey_consumer`, with its log."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def lines(self) -> list[dict[str, Any]]:
        """Return the log so far; every line must be one JSON object. One that is half written is not there yet."""
        return [json.loads(line) for line in self.log.read_text().split("\n")[:-1]]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines of one event."""
        return [line for line in self.lines() if line["event"] == name]

    def end(self, how: signal.Signals = signal.SIGTERM, timeout: float = 30) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.process.send_signal(how)
        return self.process.wait(timeout)


StartConsumer = Callable[..., ConsumerProcess]


@pytest.fixture
def database(database: Database) -> Database:
    """The test's database with the effect table of `tests.work`."""
    database.query(work.EFFECT_TABLE)
    work.huey.storage.new_identity()
    return database


@pytest.fixture
def start_consumer(database: Database, env: dict[str, str], tmp_path: Path) -> Iterator[StartConsumer]:
    """Start consumers; each is ready (a ping came back) when the call returns, and ended with the test."""
    started: list[ConsumerProcess] = []

    def start(*options: str, ready: bool = True, command: list[str] | None = None, **settings: str) -> ConsumerProcess:
        log = tmp_path / f"consumer-{len(started)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command or [str(BIN / "huey_consumer"), "tests.work.huey", *(options or ("-w", "1"))],
                stdout=stream,
                stderr=stream,
                cwd=ROOT,
                env=env | {"SKELDIR_TEST_TASKS": "1"} | settings,
            )
        consumer = ConsumerProcess(process, log)
        started.append(consumer)
        if ready:
            answered(consumer)
        return consumer

    yield start
    for consumer in started:
        if consumer.process.poll() is None:
            os.kill(consumer.pid, signal.SIGCONT)
            consumer.process.kill()
            consumer.process.wait()
    work.huey.storage.close()


def answered(consumer: ConsumerProcess, timeout: float = 60) -> None:
    """Wait until a ping job came back."""
    pong = ping()
    until(
        lambda: pong.is_ready() or consumer.process.poll() is not None,
        timeout,
        lambda: consumer.log.read_text()[-4000:],
    )
    assert consumer.process.poll() is None, consumer.log.read_text()


@pytest.fixture(scope="module")
def started(chromium: str) -> Iterator[Browser]:
    """One Chromium for this file."""
    with browser(chromium) as made:
        yield made


@pytest.fixture
def world(database: Database) -> World:
    return make_world(database)


@pytest.fixture
def address(world: World) -> Iterator[str]:
    with console() as served:
        yield served


@pytest.fixture
def context(started: Browser, address: str) -> Iterator[BrowserContext]:
    """A window of its own; it closes before the server does, which waits for open connections."""
    made = started.new_context(viewport={"width": 1280, "height": 860})
    yield made
    made.close()
