"""Stop a `make run` and the embedded PostgreSQL of this folder; what is not running is no fault."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
from pathlib import Path

from skeldir_huey.commands import _children, _lock
from skeldir_huey.config import settings
from skeldir_huey.db import embedded
from skeldir_huey.db.postmaster import wait

PATIENCE_S = 40.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take none."""


def run(args: argparse.Namespace) -> int:
    """Ask a running `run` to end, end what a killed one left behind, then stop the server."""
    data_dir = settings().data_dir
    stopped = []
    if not data_dir.exists():
        print("nothing is running")
        return 0
    holder = _lock.holder(data_dir)
    if holder is not None:
        _end_supervisor(data_dir, holder.pid)
        stopped.append(f"`make run` (process {holder.pid})")
    run_id = _lock.last_run_id(data_dir)
    left = _children.end_marked(run_id, 5.0) if run_id else 0
    if left:
        stopped.append(f"{left} processes that it had left behind")
    with embedded.locked(data_dir):
        if embedded.stop(data_dir):
            stopped.append("the embedded PostgreSQL")
    print(f"stopped {', '.join(stopped)}" if stopped else "nothing is running")
    return 0


def _end_supervisor(data_dir: Path, pid: int) -> None:
    """Ask a `run` to end and wait until its lock is free; kill it when it does not end in time."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        if wait(lambda: _lock.holder(data_dir) is None, embedded.say, "`make run` is stopping", PATIENCE_S):
            return
