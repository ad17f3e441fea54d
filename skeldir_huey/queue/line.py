"""One connection of a process for the queue's own statements, shared by its threads."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg2
import psycopg2.extensions
import psycopg2.extras

from skeldir_huey.log import get_log

log = get_log("queue.line")

psycopg2.extras.register_uuid()
# Tenants and correlations come again and again with the jobs of a batch, and making a UUID costs more than finding it.
_uuid = functools.lru_cache(maxsize=4096)(UUID)
_UUIDS = psycopg2.extensions.new_type((2950,), "UUID", lambda text, _: None if text is None else _uuid(text))
psycopg2.extensions.register_type(_UUIDS)

# In one round trip and one implicit transaction: a session SET would leak through a pooler.
_AS_QUEUE = "set local role app_rw; "
# Who froze in the middle of a transaction is rescued by the thread that would wait for it here.
# And who freezes in the middle of this one does not keep the others from what it has locked.
_IMPATIENT = "set local lock_timeout to '1s'; set local idle_in_transaction_session_timeout to '15s'"
_LAZY = "set local synchronous_commit to off; "
# A plan that is kept was made when the tables may have been empty: it must be the one for full ones. And it is kept:
# planning a claim anew costs a third of it, which the server does when it takes a plan for certain values for cheaper.
_INDEXES = (
    "set local enable_seqscan to off; set local enable_bitmapscan to off; "
    "set local plan_cache_mode to force_generic_plan; "
)
# A plan that is not in this session, or is there already: another client's session, through a pooler.
_FOREIGN_PLAN = ("26000", "42P05")
REST_S = 5.0  # an idle process keeps two connections: this one is opened again in milliseconds
# A deadlock, a partition that was made meanwhile.
_ROLLED_BACK = ("40001", "40P01", "23514")
_PLACEHOLDER = re.compile(r"%\(([a-z_]+)\)s")


def numbered(text: str) -> tuple[str, list[str]]:
    """Return the statement with $1, $2 … for its `%(name)s` parameters, and their names in that order."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return _PLACEHOLDER.sub(number, text).replace("%%", "%"), names


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of the driver's error, also when the storage's library wrapped it."""
    driver = error if isinstance(error, psycopg2.Error) else error.__context__
    return driver.pgcode if isinstance(driver, psycopg2.Error) else None


def _dicts(cursor: Any) -> list[dict[str, Any]]:
    if cursor.description is None:
        return []
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


class Line:
    """Runs statements as the queue's role, each in a transaction of its own. Made on first use, anew after a fork.

    Args:
        make: returns a database object of Huey's storage; called for each new connection.
        may_prepare: whether sessions are ours alone. Behind a pooler in transaction mode they are not.
    """

    def __init__(self, make: Callable[[], Any], may_prepare: Callable[[], bool]) -> None:
        self._make = make
        self._may_prepare = may_prepare
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._database: Any = None
        self._used = 0.0
        self._prepared: dict[str, str] | None = None

    @property
    def database(self) -> Any:
        """The connection's database object, connected."""
        if self._pid != os.getpid():
            self._forget()  # the parent goes on with its socket
        if self._database is None:
            self._database = self._make()
        if self._database.is_closed() or not self._database.is_connection_usable():
            self._database.close()
            self._prepared = {} if self._may_prepare() else None
            self._database.connect(reuse_if_open=True)
        return self._database

    def run(self, text: str, parameters: dict[str, Any] | None = None, **options: Any) -> list[dict[str, Any]]:
        """Run one statement and return its rows by column name; see `rows` for the options."""
        with self._lock_of_this_process():
            return _dicts(self._execute(text, parameters, **options))

    def rows(self, text: str, parameters: dict[str, Any] | None = None, **options: Any) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows as tuples.

        A connection that is found broken is replaced before the statement, never after it: the statement may have
        been committed.

        Args:
            prepare: a name under which the server keeps the plan, for statements that run all the time.
            durable: False lets the commit be forgotten by a crash of the server.
            first: a statement to run before, in the same transaction.
            again: run it once more if the server rolled it back for a reason that is over.
        """
        with self._lock_of_this_process():
            cursor = self._execute(text, parameters, **options)
            return [] if cursor.description is None else cursor.fetchall()

    def _lock_of_this_process(self) -> Any:
        if self._pid != os.getpid():
            self._forget()
        return self._lock

    def _execute(
        self,
        text: str,
        parameters: dict[str, Any] | None,
        *,
        prepare: str | None = None,
        durable: bool = True,
        first: str = "",
        again: bool = False,
    ) -> Any:
        database = self.database
        self._used = time.monotonic()
        before = _AS_QUEUE + ("" if durable else _LAZY) + (f"{first};\n" if first else "")
        try:
            if prepare and self._prepared is not None:
                try:
                    return database.execute_sql(before + self._kept(prepare, text), parameters or {})
                except Exception as error:
                    if sqlstate(error) not in _FOREIGN_PLAN:
                        raise
                    self._stop_preparing()  # the transaction was rolled back: nothing has happened yet
            return database.execute_sql(before + text, parameters or {})
        except Exception as error:
            if not database.is_connection_usable():
                database.close()
            elif again and sqlstate(error) in _ROLLED_BACK:
                return self._execute(text, parameters, prepare=prepare, durable=durable, first=first)
            raise

    def _stop_preparing(self) -> None:
        log.warning("plans_not_kept", advice="DATABASE_URL leads through a pooler; set DATABASE_DIRECT_URL past it")
        self._prepared = None
        self._may_prepare = lambda: False

    def _kept(self, name: str, text: str) -> str:
        assert self._prepared is not None
        if name not in self._prepared:
            body, names = numbered(text)
            # The text is part of the name: a session that a pooler hands on never runs another release's statement.
            plan = f"{name}_{hashlib.sha256(body.encode()).hexdigest()[:12]}"
            self._database.connection().cursor().execute(f"prepare {plan} as {body}")
            arguments = ", ".join(f"%({one})s" for one in names)
            self._prepared[name] = f"{_INDEXES}execute {plan}({arguments})" if names else f"{_INDEXES}execute {plan}"
        return self._prepared[name]

    @contextmanager
    def together(self) -> Iterator[Callable[..., list[dict[str, Any]]]]:
        """Open a transaction as the queue's role: what is yielded runs one statement in it and returns its rows.

        Nobody else of this process uses the connection meanwhile: for a few short statements only.
        """
        with self._lock_of_this_process(), self.database.atomic():
            self._database.execute_sql(_AS_QUEUE + _IMPATIENT)
            yield self._in_transaction

    def _in_transaction(self, text: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        return _dicts(self._database.execute_sql(text, parameters or {}))

    def rest(self, idle_s: float = REST_S) -> None:
        """Close the connection if nothing has used it for `idle_s` seconds."""
        if self._database is not None and time.monotonic() - self._used >= idle_s:
            self.close()

    def close(self) -> bool:
        """Close the connection; it is made again on the next use."""
        with self._lock:
            database, self._database = self._database, None
            return bool(database is not None and self._pid == os.getpid() and database.close())
