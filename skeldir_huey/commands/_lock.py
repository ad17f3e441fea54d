"""One `run` per data folder: a lock that dies with its process, and the note of who holds it."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path

from skeldir_huey.errors import DatabaseError, SkeldirError

NAME = "run.lock"


@dataclass(frozen=True)
class Holder:
    """Who runs: the supervisor's process id and the mark that its processes carry as SKELDIR_RUN_ID."""

    pid: int
    run_id: str


class RunLock:
    """The lock of the running supervisor, held until the process ends."""

    def __init__(self, data_dir: Path, run_id: str) -> None:
        """Take it.

        Raises:
            SkeldirError: another `run` holds it.
            DatabaseError: the folder cannot be written.
        """
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            # Not inherited by children: it ends with this process alone, also by kill -9.
            self._handle = os.open(data_dir / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseError(f"SKELDIR_DATA_DIR: cannot write {data_dir}: {error.strerror}") from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            note = _note(data_dir)
            who = f" (process {note.pid})" if note else ""
            raise SkeldirError(f"`make run` is up already{who}; stop it with Ctrl-C there or `make stop`") from None
        self.previous = _note(data_dir)
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, json.dumps({"pid": os.getpid(), "run_id": run_id}).encode(), 0)


def holder(data_dir: Path) -> Holder | None:
    """Return who holds the lock now, None when nobody does."""
    try:
        handle = os.open(data_dir / NAME, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DatabaseError(f"SKELDIR_DATA_DIR: cannot use {data_dir}: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _note(data_dir)
    finally:
        os.close(handle)


def last_run_id(data_dir: Path) -> str | None:
    """Return the mark of the last run's processes, None when there was none."""
    note = _note(data_dir)
    return note.run_id if note else None


def _note(data_dir: Path) -> Holder | None:
    try:
        note = json.loads((data_dir / NAME).read_text())
        return Holder(int(note["pid"]), str(note["run_id"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
