"""PgQueuer over asyncpg, with uvloop. `python -m bench.queue.peers.pgqueuer_app BATCH` is its consumer.

Its own command `pgq run` cannot start beside the typer release that it installs (it trips over its --log-level), so
this calls `pgqueuer.run`, which is what that command calls, with the command's defaults.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pgqueuer
import uvloop
from pgqueuer.core.logconfig import LogLevel, setup_fancy_logger

from bench.queue.noop import note
from bench.queue.peers import where


@asynccontextmanager
async def application() -> AsyncIterator[pgqueuer.PgQueuer]:
    """Connect, and register the task."""
    connection = await asyncpg.connect(where.url())
    made = pgqueuer.PgQueuer(pgqueuer.AsyncpgDriver(connection))

    @made.entrypoint("noop")
    async def noop(job: pgqueuer.Job) -> None:
        note(int(job.payload or b"-1"))

    try:
        yield made
    finally:
        await connection.close()


if os.environ.get("BENCH_ROLE") == "producer":
    loop = uvloop.new_event_loop()
    queries = pgqueuer.Queries(pgqueuer.AsyncpgDriver(loop.run_until_complete(asyncpg.connect(where.url()))))


def install() -> None:
    """Make its schema."""
    loop.run_until_complete(queries.install())


def enqueue(number: int) -> None:
    """Add one job."""
    loop.run_until_complete(queries.enqueue("noop", str(number).encode(), 0))


def enqueue_bulk(numbers: range) -> None:
    """Add many jobs, 1,000 per call."""
    for first in range(numbers.start, numbers.stop, 1000):
        payloads: list[bytes | None] = [
            str(number).encode() for number in range(first, min(first + 1000, numbers.stop))
        ]
        names, priorities = ["noop"] * len(payloads), [0] * len(payloads)
        loop.run_until_complete(queries.enqueue(names, payloads, priorities))


async def work(batch: int) -> None:
    """Run its worker until a signal comes."""
    await pgqueuer.run(application, batch_size=batch)


if __name__ == "__main__":
    setup_fancy_logger(LogLevel.INFO)
    uvloop.run(work(int(sys.argv[1])))
