"""The life sign of a consumer process: a session advisory lock and a heartbeat, over the connection that listens."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
import uuid
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from uuid import UUID

import psycopg2

from skeldir_huey.config import settings
from skeldir_huey.db import urls
from skeldir_huey.log import get_log
from skeldir_huey.queue.desk import Desk
from skeldir_huey.queue.storage import PostgresStorage, statement

log = get_log("queue.liveness")

POLL_S = 1.0  # correctness never depends on NOTIFY: workers look at least this often
STARTED_AFTER_S = 1.0
ECHO_S = 5.0  # whoever is taken for a pooler stays it: a slow moment of the machine must not look like one


def lock_key(consumer_id: UUID) -> int:
    """Return the advisory lock key of a consumer: the first 64 bits of its id."""
    return int.from_bytes(consumer_id.bytes[:8], "big", signed=True)


def product_version() -> str:
    """Return the version of this product, as the consumer row shows it."""
    try:
        return version("skeldir-huey")
    except PackageNotFoundError:
        return "development"


class Liveness(threading.Thread):
    """Keeps a process's lock, listens, writes the heartbeat and sweeps its own lost claims.

    Args:
        storage: gives the consumer id.
        desk: woken by notifications; stopped from claiming while the lock is not held.
        describe: what to write on the consumer row: worker_type, worker_count.
        rest: called each second, to close what is idle.
    """

    def __init__(
        self, storage: PostgresStorage, desk: Desk, describe: dict[str, Any], rest: Callable[[], None]
    ) -> None:
        super().__init__(name="skeldir-liveness", daemon=True)
        self._storage = storage
        self._desk = desk
        self._describe = describe
        self._rest = rest
        self._stop_event = threading.Event()
        self._connection: Any = None
        self._last_beat = 0.0
        self._last_sweep = 0.0
        self._direct = urls.direct_url()
        if self._direct is None:
            log.warning("no_direct_url", advice="set DATABASE_DIRECT_URL; until then this consumer polls each second")

    def stop(self) -> None:
        """Say on the consumer row that it stopped in order, and let go of the lock."""
        self._stop_event.set()
        self.join(2.0)
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                self._execute(connection, statement("consumer_down"), {"id": self._storage.consumer_id})
                connection.close()
            except psycopg2.Error:
                pass  # the server is gone; the row's heartbeat tells the rest

    def run(self) -> None:
        """Hold the lock until stopped; after any failure connect again, at most once a second."""
        while not self._stop_event.is_set():
            try:
                if self._connection is None:
                    self._connect()
                self._wait_for_news()
                self._beat()
                self._sweep()
            except Exception as error:  # whatever it was: without this thread the process would be taken for frozen
                if self._desk.may_claim:
                    log.warning("liveness_lost", error=str(error).strip())
                self._desk.may_claim = False
                self._drop()
                self._stop_event.wait(0.25)

    def _connect(self) -> None:
        connection = psycopg2.connect(
            urls.dsn_of("direct" if self._direct else "worker"),
            application_name=self._storage.application_name,
            connect_timeout=2,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
        )
        try:
            connection.autocommit = True
            if self._direct:
                self._lock_and_listen(connection)
            self._connection = connection
        except BaseException:
            connection.close()
            raise
        self._last_beat = 0.0
        self._beat()
        self._ask_caps()
        self._desk.may_claim = True
        self._desk.wake()

    def _lock_and_listen(self, connection: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("listen skeldir_jobs")
            if not self._hears_itself(connection):
                log.warning("notify_unavailable", advice="DATABASE_DIRECT_URL leads through a pooler; point it past it")
                self._direct = None
                return
            cursor.execute("select pg_try_advisory_lock(%s)", (lock_key(self._storage.consumer_id),))
            if not cursor.fetchone()[0]:
                raise psycopg2.OperationalError("this consumer's lock is still held by its former session")

    def _hears_itself(self, connection: Any) -> bool:
        """Send a word over another session and wait for it: a pooler accepts LISTEN and delivers nothing."""
        nonce = uuid.uuid4().hex
        self._storage.run(statement("notify_self"), {"nonce": nonce})
        deadline = time.monotonic() + ECHO_S
        while True:
            connection.poll()
            if any(note.payload == nonce for note in connection.notifies):
                connection.notifies.clear()
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            select.select([connection], [], [], left)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except psycopg2.Error:
                pass

    def _wait_for_news(self) -> None:
        connection = self._connection
        readable, _, _ = select.select([connection], [], [], POLL_S)
        if not readable:
            return
        connection.poll()
        lanes = {note.payload for note in connection.notifies}
        connection.notifies.clear()
        if lanes & set(self._storage.lanes):
            self._desk.wake()

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._last_beat < settings().heartbeat_s:
            return
        self._execute(
            self._connection,
            statement("consumer_up"),
            {
                "id": self._storage.consumer_id,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "lanes": list(self._storage.lanes),
                "version": product_version(),
                "holds_lock": self._direct is not None,
                **self._describe,
            },
        )
        self._last_beat = now

    def _ask_caps(self) -> None:
        """Learn whether any cap is set: before the first claim, for one that minds caps is planned anew each time."""
        ((self._storage.capped,),) = self._execute(self._connection, statement("caps_set"), {})

    def _sweep(self) -> None:
        now = time.monotonic()
        if now - self._last_sweep < 1.0:
            return
        self._last_sweep = now
        self._rest()
        self._ask_caps()
        rows = self._execute(self._connection, statement("claims_of"), {"consumer_id": self._storage.consumer_id})
        # Read first, asked second: a claim is known to the desk before its row can be seen.
        lost = [(job_id, token) for job_id, token in rows if not self._desk.is_mine(job_id, token)]
        if lost:
            # Most of these ended between the two questions, and their token matches nothing any more.
            released = self._execute(
                self._connection,
                statement("release"),
                {"ids": [job_id for job_id, _ in lost], "tokens": [token for _, token in lost]},
            )
            if released:
                log.warning("claims_released", count=len(released))
        long = self._desk.running_longer_than(STARTED_AFTER_S)
        if long:
            self._execute(
                self._connection,
                statement("mark_started"),
                {"ids": [claim.id for claim in long], "tokens": [claim.token for claim in long]},
            )

    @staticmethod
    def _execute(connection: Any, text: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute("set local role app_rw; " + text, parameters)
            return cursor.fetchall() if cursor.description else []
