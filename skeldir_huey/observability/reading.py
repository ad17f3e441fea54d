"""Reading from the database within a deadline, whatever state the server or the network is in."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2 import extensions
from psycopg2.extensions import connection as Connection

STATEMENT_TIMEOUT_S = 2


class Reader:
    """A connection of its own, for one look. Asynchronous: a blocking call has no way out of a stopped server."""

    def __init__(self, connection: Connection, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def read(self, text: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run statements and return the rows of the last one.

        Raises:
            TimeoutError: the deadline has passed.
        """
        with self._connection.cursor() as cursor:
            cursor.execute(text, parameters)
            self._wait()
            return cursor.fetchall() if cursor.description else []

    def _wait(self) -> None:
        while True:
            state = self._connection.poll()
            if state == extensions.POLL_OK:
                return
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the database does not answer")
            reading = [self._connection] if state == extensions.POLL_READ else []
            writing = [self._connection] if state == extensions.POLL_WRITE else []
            select.select(reading, writing, [], left)


@contextmanager
def reading(dsn: str, seconds: float) -> Iterator[Reader]:
    """Open a transaction that ends with the block, rolled back.

    Args:
        dsn: a libpq URL.
        seconds: for everything, from the connection to the last row.

    Raises:
        TimeoutError, psycopg2.Error: there is no answer.
    """
    deadline = time.monotonic() + seconds
    connection = psycopg2.connect(dsn, async_=True, application_name="skeldir-health", connect_timeout=2)
    try:
        reader = Reader(connection, deadline)
        reader._wait()
        reader.read(f"begin; set local statement_timeout = '{STATEMENT_TIMEOUT_S}s'; select 1")
        yield reader
    finally:
        connection.close()
