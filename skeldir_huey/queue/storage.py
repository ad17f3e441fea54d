"""Huey's storage over the tables of schema `huey`. The only file that names peewee."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from huey.constants import EmptyData
from huey.contrib.sql_huey import SqlStorage
from huey.storage import BaseStorage
from peewee import PostgresqlDatabase
from sqlalchemy.engine import make_url

from skeldir_huey.db import urls
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.queue import lanes
from skeldir_huey.queue.arrays import array
from skeldir_huey.queue.claims import Claim, ClaimedMessage, Place
from skeldir_huey.queue.line import Line
from skeldir_huey.queue.suspicion import IDLE, Suspects

RAW = "raw"  # task name of messages that came through the raw storage interface


def statement(name: str) -> str:
    """Return a statement of the queue by its file name."""
    return sql("queue", name)


def _claim_on() -> str:
    return statement("claim").replace("/* and from here */", "and w.priority = %(priority)s and w.rank >= %(rank)s")


class PostgresStorage(SqlStorage):
    """Jobs as rows that stay until they are settled.

    One connection per process, shared by its threads and made on first use, so importing a module connects to nothing
    and a fork never shares a socket.

    Args:
        name: Huey's name of the instance.
        lanes: which lanes `dequeue` and `claim` drain, default all.
    """

    blocking = False

    def __init__(self, name: str = "huey", lanes_drained: Sequence[str] = lanes.LANES, **_: Any) -> None:
        BaseStorage.__init__(self, name)
        self.lanes = lanes.check_lanes(lanes_drained)
        self.consumer_id = uuid.uuid4()
        self.capped = True  # whether any cap is set, as far as this process knows; asked each second
        self._line = Line(self._make, self._sessions_are_ours)
        self._settling = Line(self._make, self._sessions_are_ours)

    # -- connection ---------------------------------------------------------------------------------------------------

    @property
    def application_name(self) -> str:
        """Name of every session of this consumer: what a rescue ends."""
        return f"skeldir:{self.consumer_id}"

    def new_identity(self) -> None:
        """Become another consumer: after a fork, and when a consumer starts."""
        self.close()
        self.consumer_id = uuid.uuid4()

    def _make(self) -> PostgresqlDatabase:
        url = make_url(urls.url_of("worker"))
        return PostgresqlDatabase(
            url.render_as_string(hide_password=False).replace("postgresql+psycopg2:", "postgresql:", 1),
            thread_safe=False,
            application_name=self.application_name,
            connect_timeout=5,
        )

    @staticmethod
    def _sessions_are_ours() -> bool:
        return urls.direct_url() == urls.url_of("worker")

    @property
    def database(self) -> PostgresqlDatabase:
        """The process's connection, as Huey's SqlStorage has it."""
        return self._line.database

    def run(self, text: str, parameters: dict[str, Any] | None = None, **options: Any) -> list[dict[str, Any]]:
        """Run one statement as the queue's role, in a transaction of its own, and return its rows; see `Line.run`."""
        return self._line.run(text, parameters, **options)

    def together(self) -> AbstractContextManager[Callable[..., list[dict[str, Any]]]]:
        """Open a transaction on the process's connection; see `Line.together`."""
        return self._line.together()

    def rest(self) -> None:
        """Close the connection of the settlements when there have been none for a while."""
        self._settling.rest()

    def close(self) -> bool:
        """Close the process's connections; they are made again on the next use."""
        self._settling.close()
        return self._line.close()

    def create_tables(self) -> None:
        """Do nothing: the tables are made by `alembic upgrade head`."""

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def enqueue_row(self, row: dict[str, Any]) -> bool:
        """Add a job of `rows.row_of`; False when its task id, tick or unique key is there already."""
        return bool(self.run(statement("enqueue"), row | {"always_notify": False}, prepare="enqueue"))

    def claim(
        self,
        token: UUID,
        total: int,
        turn: Sequence[str] | None = None,
        now: dt.datetime | None = None,
        suspects: Suspects = IDLE,
        place: Place | None = None,
    ) -> list[Claim]:
        """Take waiting jobs for this consumer.

        Args:
            token: a new random uuid; every later statement about these jobs must name it.
            total: at most how many.
            turn: the lanes, in the order in which they are served; default this consumer's.
            now: the time to use; None, as in production, means the database's clock.
            suspects: what to do with jobs whose consumer died; see `suspicion`.
            place: take from there on, of its lane and priority only; default from the beginning of each lane. What was
                added or given back before it has to be looked for from time to time.
        """
        order = list(turn or self.lanes)
        parameters = {"lanes": order, "total": total, "token": token, "consumer_id": self.consumer_id, "now": now}
        parameters |= {"suspects": suspects.rule, "apart": suspects.apart}
        # A claim that a crash of the server forgets was never made: only settlements have to last.
        if self.capped:
            rows = self._line.rows(statement("claim_capped"), parameters, durable=False, first=statement("claim_gate"))
        elif place is None:
            rows = self._line.rows(statement("claim"), parameters, durable=False, prepare="claim")
        else:
            parameters |= {"lanes": [place.lane], "priority": place.priority, "rank": place.rank}
            rows = self._line.rows(_claim_on(), parameters, durable=False, prepare="claim_on")
        claims = [Claim.of_tuple(row, token) for row in rows]
        claims.sort(key=lambda claim: (order.index(claim.lane), -claim.priority, claim.rank, claim.id))
        return claims

    def release(self, claims: Sequence[Claim]) -> bool:
        """Give back claims, uncounted; says whether any of them still held."""
        return bool(
            self.run(
                statement("release"),
                {"ids": [claim.id for claim in claims], "tokens": [claim.token for claim in claims]},
            )
        )

    def settle_done(self, parameters: dict[str, Any]) -> set[int]:
        """End jobs that succeeded, over a connection of their own; returns the ids of those whose claim still held."""
        given = {name: array(value) if isinstance(value, list) else value for name, value in parameters.items()}
        rows = self._settling.rows(statement("settle_done"), given, prepare="settle_done", again=True)
        return {row[0] for row in rows}

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        """Add an opaque message to the default lane."""
        self.enqueue_row(_raw_row(data, priority, None))

    def dequeue(self) -> ClaimedMessage | None:
        """Claim one waiting job of any lane and return its message with the claim on it."""
        claims = self.claim(uuid.uuid4(), 1)
        return ClaimedMessage.of(claims[0]) if claims else None

    def queue_size(self) -> int:
        """Count waiting jobs."""
        return self._count("waiting")

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        """Return the messages of waiting jobs in the order in which they run."""
        return self._messages("waiting_messages", limit)

    def flush_queue(self) -> None:
        """Delete waiting jobs. Nothing records them: for tests and empty systems."""
        self.run(statement("flush_waiting"))

    def add_to_schedule(self, data: bytes, timestamp: dt.datetime) -> None:
        """Add an opaque message that is due at `timestamp` (naive means UTC)."""
        self.enqueue_row(_raw_row(data, None, utc(timestamp)) | {"now": dt.datetime(1970, 1, 1, tzinfo=dt.UTC)})

    def read_schedule(self, timestamp: dt.datetime) -> list[ClaimedMessage]:
        """Claim every scheduled job that is due. Consumers do not use it: they promote due jobs in place."""
        token = uuid.uuid4()
        rows = self.run(
            statement("claim_due"),
            {"token": token, "consumer_id": self.consumer_id, "now": utc(timestamp)},
        )
        rows.sort(key=lambda row: (row["run_at"], row["id"]))
        return [ClaimedMessage.of(Claim.of_row(row, token)) for row in rows]

    def schedule_size(self) -> int:
        """Count scheduled jobs."""
        return self._count("scheduled")

    def scheduled_items(self, limit: int | None = None) -> list[bytes]:
        """Return the messages of scheduled jobs, soonest first."""
        return self._messages("scheduled_messages", limit)

    def flush_schedule(self) -> None:
        """Delete scheduled jobs. Nothing records them: for tests and empty systems."""
        self.run(statement("flush_scheduled"))

    def _count(self, state: str) -> int:
        return int(self.run(statement("count_jobs"), {"state": state, "lanes": list(self.lanes)})[0]["n"])

    def _messages(self, name: str, limit: int | None) -> list[bytes]:
        rows = self.run(statement(name), {"lanes": list(self.lanes), "limit": limit})
        return [bytes(row["message"]) for row in rows]

    # -- results, locks, counters: Huey gives keys as text, its storage interface allows bytes as well -----------------

    def put_data(self, key: str | bytes, value: bytes, is_result: bool = False) -> None:
        """Store a value; a result is kept for 24 hours, other data (revocations, locks) for a year."""
        self.run(
            statement("put_result"),
            {"key": _text(key), "value": value, "is_result": is_result, "ttl_s": None if is_result else 365 * 86400},
        )

    def peek_data(self, key: str | bytes) -> Any:
        """Return the value of a key, or EmptyData."""
        return self.peek_many([key]).get(_text(key), EmptyData)

    def peek_many(self, keys: Sequence[str | bytes]) -> dict[str, bytes]:
        """Return the values of the keys that are there."""
        rows = self.run(statement("peek_results"), {"keys": [_text(key) for key in keys]})
        return {row["key"]: bytes(row["value"]) for row in rows}

    def pop_data(self, key: str | bytes) -> Any:
        """Delete a key and return its value, or EmptyData."""
        rows = self.run(statement("delete_result"), {"key": _text(key)})
        return bytes(rows[0]["value"]) if rows else EmptyData

    def has_data_for_key(self, key: str | bytes) -> bool:
        """Say whether a key is there."""
        return self.peek_data(key) is not EmptyData

    def put_if_empty(self, key: str | bytes, value: bytes, ttl: float | None = None) -> bool:
        """Store a value unless the key is there; after `ttl` seconds (None: a year) it no longer counts."""
        return bool(self.run(statement("put_if_empty"), {"key": _text(key), "value": value, "ttl_s": ttl}))

    def incr(self, key: str, amount: int = 1) -> int:
        """Add to a counter, from 0 if it is not there, and return its new value."""
        return int(self.run(statement("add_to_counter"), {"key": key, "amount": amount})[0]["value"])

    def delete_counter(self, key: str) -> None:
        """Delete a counter."""
        self.run(statement("delete_counter"), {"key": key})

    def result_store_size(self) -> int:
        """Count stored values that have not expired."""
        return len(self.result_items())

    def result_items(self) -> dict[str, bytes]:
        """Return every stored value that has not expired."""
        rows = self.run(statement("all_results"))
        return {row["key"]: bytes(row["value"]) for row in rows}

    def flush_results(self) -> None:
        """Delete every stored value."""
        self.run(statement("flush_results"))

    def flush_counters(self) -> None:
        """Delete every counter."""
        self.run(statement("flush_counters"))


def utc(moment: dt.datetime) -> dt.datetime:
    """Return an aware datetime; Huey's naive ones are UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _text(key: str | bytes) -> str:
    return key.decode() if isinstance(key, bytes) else key


def _raw_row(data: bytes, priority: float | None, run_at: dt.datetime | None) -> dict[str, Any]:
    return {
        "task_id": str(uuid.uuid4()),
        "lane": lanes.DEFAULT,
        "priority": priority or 0,
        "task_name": RAW,
        "tenant_id": None,
        "correlation_id": None,
        "message": data,
        "run_at": run_at,
        "now": None,
        "tick_key": None,
        "unique_key": None,
        "letter_id": None,
        "from_producer": True,
    }
