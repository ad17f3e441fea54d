"""Real commands as subprocesses: run to their end, or kept running and watched."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.waiting import until

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
ME = [sys.executable, "-m", "skeldir_huey"]


def bare_env(data_dir: Path, **settings: str) -> dict[str, str]:
    """Return an environment in which no setting is made but these, with a data folder of its own."""
    kept = {
        name: text for name, text in os.environ.items() if not name.startswith(("DATABASE_", "SKELDIR_", "WORKER_"))
    }
    return {
        **kept,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        "SKELDIR_DATA_DIR": str(data_dir),
        "SKELDIR_ENV_FILE": str(data_dir / "env"),
        **settings,
    }


# Below the ports that the system gives to outgoing connections, so that none takes one before its server does;
# each of two pytest processes side by side has a half of its own.
_HALF = 10_000
_first = 12_000 + _HALF * (os.environ.get("PYTEST_XDIST_WORKER") == "gw1")
_steps = itertools.count(os.getpid() * 97)


def free_ports(count: int) -> list[str]:
    """Return ports of 127.0.0.1 that nobody listens on now, and that were not returned before."""
    return [str(_free_port()) for _ in range(count)]


def _free_port() -> int:
    for step in _steps:
        port = _first + step % _HALF
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("unreachable: the steps never end")


def run(command: list[str], env: dict[str, str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository to its end."""
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout, check=False)


@dataclass
class Running:
    """A command that goes on; `text` is what it has printed so far, both streams."""

    command: list[str]
    env: dict[str, str]
    _printed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._printed.append(line)

    @property
    def text(self) -> str:
        return "".join(self._printed)

    def until_it_prints(self, words: str, timeout: float = 60) -> None:
        """Wait for these words; fail when the command ends before."""
        until(lambda: words in self.text or self.process.poll() is not None, timeout, lambda: self.text)
        assert words in self.text, self.text

    def end(self, how: signal.Signals = signal.SIGINT, timeout: float = 60) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        self.process.send_signal(how)
        return self.ended(timeout)

    def ended(self, timeout: float = 60) -> int:
        """Wait for the end and return the exit code."""
        code = self.process.wait(timeout)
        self._reader.join(5)
        return code

    def close(self) -> None:
        """Kill it and all that it started, if it still runs: what it manages may have a session of its own."""
        if self.process.poll() is None:
            for process in [*psutil.Process(self.process.pid).children(recursive=True), self.process]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.wait()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()


def of_folder(folder: Path) -> list[psutil.Process]:
    """Return the live processes that work in this data folder or carry it in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            mine = str(folder) in " ".join(process.cmdline()) or process.environ().get("SKELDIR_DATA_DIR") == str(
                folder
            )
            if mine and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found
