"""`python -m bench.queue.claim_probe`: fills one database of ours and times claims in it, as the parent says on stdin.

One JSON request per line, one JSON answer per line: {"do": "schedule", "count": n}, {"do": "finish", "count": n} with a
consumer running beside, {"do": "claim"} for one claim of a full batch.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import psycopg2

from bench.queue import serverlog
from bench.queue.noop import NOTES
from bench.queue.notes import Tail
from bench.queue.ours import TENANT, huey, noop
from bench.queue.peers import where

BATCH = 50
CHUNK = 5000
STUCK_S = 60
AHEAD = 10_000  # jobs that wait at most while a consumer finishes many


class Probe:
    """One connection beside the product's storage, as superuser: it removes what was claimed."""

    def __init__(self) -> None:
        self._admin = psycopg2.connect(where.url())
        self._admin.autocommit = True
        huey.storage.capped = False  # a consumer asks once a second whether caps are set: none are
        self._seen: tuple[str, Any] = ("", None)
        self._next = 0
        self._tail = Tail(os.environ[NOTES])

    def schedule(self, count: int) -> dict[str, Any]:
        """Add jobs that are due in days."""
        due = dt.datetime.now(dt.UTC) + dt.timedelta(days=3)
        for first in range(0, count, CHUNK):
            many = range(first, min(first + CHUNK, count))
            huey.enqueue_many(
                noop.s(number, tenant_id=TENANT, eta=due + dt.timedelta(seconds=number % 86_400)) for number in many
            )
        return {"count": count}

    def finish(self, count: int) -> dict[str, Any]:
        """Add jobs while the consumer beside runs them, and wait until all have ended."""
        for first in range(0, count, CHUNK):
            self._until_done(first - AHEAD)
            many = range(first, min(first + CHUNK, count))
            huey.enqueue_many(noop.s(number, tenant_id=TENANT) for number in many)
        self._until_done(count)
        while self._value("select count(*) from huey.job"):
            time.sleep(0.05)
        return {"count": self._value("select count(*) from huey.job_attempt where outcome = 'done'")}

    def _until_done(self, count: int) -> None:
        moved, seen = time.monotonic(), -1
        while self._tail.count < count:
            self._tail.new_lines()
            if self._tail.count != seen:
                moved, seen = time.monotonic(), self._tail.count
            if time.monotonic() - moved > STUCK_S:
                raise SystemExit(f"no job began for {STUCK_S} s, {seen} of {count} did")
            time.sleep(0.02)

    def _value(self, statement: str) -> Any:
        with self._admin.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
            assert row is not None
            return row[0]

    def claim(self) -> dict[str, Any]:
        """Time one claim of a batch as the product makes it, and explain another one."""
        ms = self._timed()
        plan = self._explained()
        return {"ms": ms, "buffers_per_job": plan[0] / BATCH, "explained_ms": plan[1]}

    def _timed(self) -> float:
        self._fill()
        database = huey.storage.database
        run = database.execute_sql

        def watched(text: str, parameters: Any = None, *more: Any) -> Any:
            self._seen = (text, parameters)
            return run(text, parameters, *more)

        database.execute_sql = watched
        try:
            began = time.perf_counter()
            claims = huey.storage.claim(uuid.uuid4(), BATCH)
            ms = (time.perf_counter() - began) * 1000
        finally:
            del database.execute_sql
        if len(claims) != BATCH:
            raise SystemExit(f"claimed {len(claims)} of {BATCH}")
        self._clear()
        return ms

    def _explained(self) -> tuple[int, float]:
        """Run the statement of the last claim again, with EXPLAIN before its last part; returns buffers and ms."""
        self._fill()
        text, parameters = self._seen
        *before, last = serverlog.split(text)
        explained = "; ".join([*before, f"explain (analyze, buffers, timing off, format json) {last}"])
        answer = huey.storage.database.execute_sql(explained, parameters).fetchone()[0]
        found = (answer if isinstance(answer, list) else json.loads(answer))[0]
        if self._value("select count(*) from huey.job where state = 'running'") != BATCH:
            raise SystemExit("the explained claim took another number of jobs")
        self._clear()
        plan = found["Plan"]
        return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], found["Execution Time"]

    def _fill(self) -> None:
        huey.enqueue_many(noop.s(number, tenant_id=TENANT) for number in range(self._next, self._next + BATCH))
        self._next += BATCH

    def _clear(self) -> None:
        with self._admin.cursor() as cursor:
            cursor.execute("delete from huey.job where state = 'running'")  # what a settlement does to this table


def main() -> None:
    probe = Probe()
    for line in sys.stdin:
        request = json.loads(line)
        actions: dict[str, Callable[..., dict[str, Any]]] = {
            "schedule": probe.schedule,
            "finish": probe.finish,
            "claim": probe.claim,
        }
        action = actions[request.pop("do")]
        print(json.dumps(action(**request)), flush=True)


if __name__ == "__main__":
    main()
