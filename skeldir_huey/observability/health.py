"""Whether the database and the queue answer, found out within a deadline whatever state the server is in."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg2
from psycopg2 import extensions
from psycopg2.extensions import connection as Connection

DEADLINE_S = 3.0
STATEMENT_TIMEOUT_S = 2
REMEMBER_S = 0.5

# What a claim needs: the worker's login, the role app_rw, and the table of jobs.
QUEUE_STATEMENT = "select from huey.job where lane = 'housekeeping' and state = 'waiting' limit 1"


@dataclass(frozen=True)
class Health:
    """`broker` is the queue, `database` the server behind it."""

    broker: bool
    database: bool

    @property
    def ok(self) -> bool:
        return self.broker and self.database

    def as_dict(self) -> dict[str, str]:
        """Return what /health answers."""
        words = {True: "ok", False: "unavailable"}
        return {"status": words[self.ok], "broker": words[self.broker], "database": words[self.database]}


class Checker:
    """Asks the database, one question at a time however many ask, and remembers the answer for half a second.

    Args:
        dsn: returns the worker's libpq URL.
        broker_check: a statement that works as app_rw when the queue does.
    """

    def __init__(self, dsn: Callable[[], str], broker_check: str = QUEUE_STATEMENT) -> None:
        self._dsn = dsn
        self._broker_check = broker_check
        self._lock = threading.Lock()
        self._known: Health | None = None
        self._known_until = 0.0

    def health(self) -> Health:
        """Return the present state; takes at most 3 seconds and raises nothing."""
        with self._lock:
            if self._known is None or time.monotonic() >= self._known_until:
                self._known = self._ask()
                self._known_until = time.monotonic() + REMEMBER_S
            return self._known

    def _ask(self) -> Health:
        # Asynchronous, because a blocking call has no way out of a stopped server or a cut network.
        deadline = time.monotonic() + DEADLINE_S
        database = broker = False
        connection: Connection | None = None
        try:
            connection = psycopg2.connect(
                self._dsn(), async_=True, application_name="skeldir-health", connect_timeout=2
            )
            _wait(connection, deadline)
            with connection.cursor() as cursor:
                cursor.execute(f"begin; set local statement_timeout = '{STATEMENT_TIMEOUT_S}s'; select 1")
                _wait(connection, deadline)
                database = True
                cursor.execute(f"set local role app_rw; {self._broker_check}; rollback")
                _wait(connection, deadline)
                broker = True
        except Exception:  # whatever it is, the answer is no: a monitor that fails must not look healthy
            pass
        finally:
            if connection is not None:
                connection.close()
        return Health(broker=broker, database=database)


def _wait(connection: Connection, deadline: float) -> None:
    while True:
        state = connection.poll()
        if state == extensions.POLL_OK:
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the database does not answer")
        reading = [connection] if state == extensions.POLL_READ else []
        writing = [connection] if state == extensions.POLL_WRITE else []
        select.select(reading, writing, [], left)
