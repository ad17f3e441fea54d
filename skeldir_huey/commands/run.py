"""Start everything and own it: database, migrations, demo, console, worker. When this ends, nothing is left running."""

from __future__ import annotations

import argparse
import os
import pkgutil
import secrets
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config

from skeldir_huey import config
from skeldir_huey.commands import _children, _demo, _lock, _logins
from skeldir_huey.config import ROOT, Settings, settings
from skeldir_huey.db import bootstrap, embedded, engine, urls
from skeldir_huey.db.embedded import say
from skeldir_huey.errors import SkeldirError
from skeldir_huey.log import install

CHILDREN_S = 8.0  # honcho asks, waits 5 s, then kills
READY_S = 60.0
DEMO_EMAIL = "operator@demo.example"
# Named, not imported: the console stands above the commands.
ENSURE_USER = "admin.users:ensure_demo_user"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-demo", action="store_true", help="no demo data and no demo sign-in (or SKELDIR_DEMO=0)")


def run(args: argparse.Namespace) -> int:
    """Run until Ctrl-C, SIGTERM, or the end of console or worker; exit 0 after a signal, 1 when a part ended by itself.

    Raises:
        SkeldirError: something is in the way; nothing was started, or all that was is stopped again.
    """
    given = settings()
    install(given.log_level)
    wants_demo = not args.no_demo and (given.demo or "demo" not in given.given)
    run_id = secrets.token_hex(8)
    lock = _lock.RunLock(given.data_dir, run_id)
    if lock.previous and _children.end_marked(lock.previous.run_id, 5.0):
        say("ended what a killed `make run` had left behind")
    _check_port(given)
    asked = _catch_signals()
    owned = urls.is_embedded(given)
    try:
        _set_up(given, wants_demo)
        sign_in = _seed(given) if wants_demo else None
        engine.dispose()
        return _supervise(run_id, wants_demo, sign_in, asked)
    except KeyboardInterrupt:
        return 0
    finally:
        _end(given.data_dir, run_id, owned, asked)


def _check_port(given: Settings) -> None:
    family = socket.AF_INET6 if ":" in given.web_addr else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((given.web_addr, given.web_port))
        except OSError as error:
            raise SkeldirError(
                f"cannot listen on {given.web_addr}:{given.web_port}: {error.strerror}; nothing was started. "
                "Free the port or set SKELDIR_WEB_PORT"
            ) from None


def _catch_signals() -> threading.Event:
    """Turn the first signal into KeyboardInterrupt; while things end, signals are only noted."""
    asked = threading.Event()

    def note(number: int, frame: Any) -> None:
        if not asked.is_set():
            asked.set()
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup wants us to live on
        signal.signal(signal.SIGHUP, note)
    return asked


def _set_up(given: Settings, wants_demo: bool) -> None:
    """Make the database usable, and fix its URLs in our environment: children then never start a server themselves."""
    if urls.is_embedded(given):
        server = bootstrap.ensure_embedded(given.data_dir)
        say(f"the embedded PostgreSQL is up (process {server.pid}, data in {server.pgdata})")
        worker = server.url("app_user")
        os.environ |= {"DATABASE_URL": worker, "DATABASE_DIRECT_URL": worker}
        os.environ |= {"DATABASE_CONSOLE_URL": server.url("console"), "DATABASE_OWNER_URL": server.url(bootstrap.OWNER)}
    else:
        _logins.prepare(given, say)
    os.environ["SKELDIR_DEMO"] = "1" if wants_demo else "0"
    if given.secret_key is None:
        os.environ["SKELDIR_SECRET_KEY"] = _kept_secret(given.data_dir / "secret_key", 48)
    config.reload()
    alembic.command.upgrade(alembic.config.Config(str(ROOT / "alembic.ini")), "heads")
    for who in ("worker", "console"):
        urls.check_ready(who)


def _seed(given: Settings) -> tuple[str, str]:
    """Add the demo's data and its operator; return how to sign in."""
    _demo.seed(say)
    password = _kept_secret(given.data_dir / "demo_password", 12)
    pkgutil.resolve_name(ENSURE_USER)(DEMO_EMAIL, password, role="admin")
    return DEMO_EMAIL, password


def _kept_secret(path: Path, size: int) -> str:
    """Return the secret in this file, made at its first use; only its owner can read it."""
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(size))
    return path.read_text().strip()


def _supervise(run_id: str, wants_demo: bool, sign_in: tuple[str, str] | None, asked: threading.Event) -> int:
    now = settings()
    honcho = _children.start_honcho(_children.environment({_children.MARK: run_id}))
    address = f"http://{now.web_addr}:{now.web_port}"
    try:
        if _console_answers(address, honcho):
            lines = [f"Skeldir Huey is up: {address}/admin/"]
            if sign_in:
                lines.append(f"Sign in as {sign_in[0]} with password {sign_in[1]} (this demo only)")
            lines.append("Ctrl-C stops everything.")
            print("\n" + "\n".join(f"    {line}" for line in lines) + "\n", flush=True)
            while honcho.poll() is None:
                asked.wait(0.2)
        say("console or worker ended by itself (see above): stopping the rest")
        return 1
    finally:
        asked.set()
        _children.end_honcho(honcho, CHILDREN_S)


def _console_answers(address: str, honcho: subprocess.Popen[bytes]) -> bool:
    """Wait until the console answers; False when console or worker ended before."""
    began = told = time.monotonic()
    while honcho.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/healthz", timeout=2).close()  # always http://  # nosec B310
            return True
        except urllib.error.HTTPError:
            return True  # it answers, whatever it says
        except OSError:
            time.sleep(0.1)
        if time.monotonic() - told > 2:
            told = time.monotonic()
            say(f"waiting for the console ({told - began:.0f} s)")
        if time.monotonic() - began > READY_S:
            raise SkeldirError(f"the console at {address} does not answer after {READY_S:.0f} s")
    return False


def _end(data_dir: Path, run_id: str, owned: bool, asked: threading.Event) -> None:
    """End what carries our mark, then the server. Signals no longer interrupt us."""
    asked.set()
    _children.end_marked(run_id, 2.0)
    engine.dispose()
    if owned:
        with embedded.locked(data_dir):
            stopped = embedded.stop(data_dir)
        if stopped:
            say("the embedded PostgreSQL is stopped, its data stays; `make run` continues where this was")
