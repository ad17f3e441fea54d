"""The processes of a `run`: started in a session of their own, found again by a mark, ended without a rest."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from skeldir_huey.db.embedded import say
from skeldir_huey.db.postmaster import ended, wait
from skeldir_huey.parsers import ROOT

MARK = "SKELDIR_RUN_ID"
_prctl: Any = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def start_honcho(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the Procfile in a session of its own, so that Ctrl-C reaches only us and we decide the order of ending."""
    command = [sys.executable, "-m", "honcho", "-e", os.devnull, "-d", str(ROOT), "-f", "Procfile", "start"]
    # -e: config reads .env by itself, below the environment; honcho would let it win.
    return subprocess.Popen(  # our own interpreter, a fixed list  # nosec B603
        command,
        cwd=ROOT,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_end_with_parent if _prctl else None,  # noqa: PLW1509  one system call, nothing to lock
    )


def _end_with_parent() -> None:
    # If `run` itself is killed with -9, honcho gets SIGTERM and ends the rest. 1 is PR_SET_PDEATHSIG.
    _prctl(1, signal.SIGTERM)


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return our environment for children: the commands of this interpreter first, output as it comes, plus `extra`."""
    commands = str(Path(sys.executable).parent)
    path = os.pathsep.join([commands, os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", **extra}


def marked(run_id: str) -> list[psutil.Process]:
    """Return the live processes that carry this run's mark, whoever their parent is now; never ourselves."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == run_id:
                found.append(process)
        except (psutil.Error, OSError):  # another user's, or gone
            continue
    return [process for process in found if not ended(process)]


def end_honcho(honcho: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask honcho to end its processes and wait; `end_marked` takes what is left."""
    if honcho.poll() is None:
        honcho.terminate()
        try:
            honcho.wait(seconds)
        except subprocess.TimeoutExpired:
            honcho.kill()
            honcho.wait()


def end_marked(run_id: str, seconds: float) -> int:
    """End every process that carries the mark, kill those that do not end, and return how many there were."""
    found = marked(run_id)
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
        alive = [process for process in found if not ended(process)]
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        wait(lambda: all(map(ended, found)), say, "processes are ending", patience)
    return len(found)
