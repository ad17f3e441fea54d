"""Whether LISTEN delivers: a pooler accepts it and stays silent."""

from __future__ import annotations

import select
import time
import uuid

import psycopg2
from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.observability.checks import BAD, OK, WARN, Check

CHANNEL = "skeldir_doctor"
WAIT_S = 2.0


def listening(connection: Connection, dsn: str | None) -> Check:
    """Send a word over one session and wait for it on another.

    Args:
        connection: the worker's; its transaction is committed.
        dsn: where consumers listen, a libpq URL; None when DATABASE_URL may lead through a pooler and no other is set.
    """
    if dsn is None:
        text = "DATABASE_DIRECT_URL is not set, so consumers look for jobs once a second"
        return Check("notify", WARN, text, "set it to the server itself, past any pooler, for jobs that start at once")
    listener = psycopg2.connect(dsn, application_name="skeldir-doctor", connect_timeout=5)
    try:
        listener.autocommit = True
        with listener.cursor() as cursor:
            cursor.execute(f"listen {CHANNEL}")
        word = uuid.uuid4().hex
        began = time.monotonic()
        rows(connection, sql("observability", "doctor_ask"), {"word": word})
        connection.commit()
        while (left := began + WAIT_S - time.monotonic()) > 0:
            listener.poll()
            if any(note.payload == word for note in listener.notifies):
                return Check("notify", OK, f"LISTEN delivers, after {(time.monotonic() - began) * 1000:.0f} ms")
            select.select([listener], [], [], left)
    finally:
        listener.close()
    text = f"LISTEN delivered nothing within {WAIT_S:.0f} s: the URL leads through a pooler"
    return Check("notify", BAD, text, "point DATABASE_DIRECT_URL at the server itself")
