"""Procrastinate: its synchronous connector in the producer, its asynchronous worker with a synchronous task."""

from __future__ import annotations

import os

import procrastinate

from bench.queue.noop import note
from bench.queue.peers import where

PRODUCER = os.environ.get("BENCH_ROLE") == "producer"
connector = procrastinate.SyncPsycopgConnector if PRODUCER else procrastinate.PsycopgConnector
app = procrastinate.App(connector=connector(conninfo=where.url()))
noop = app.task(name="noop")(note)
if PRODUCER:
    app.open()


def install() -> None:
    """Make its schema."""
    app.schema_manager.apply_schema()


def enqueue(number: int) -> None:
    """Add one job."""
    noop.defer(number=number)


def enqueue_bulk(numbers: range) -> None:
    """Add many jobs, 1,000 per call."""
    for first in range(numbers.start, numbers.stop, 1000):
        noop.batch_defer(*({"number": number} for number in range(first, min(first + 1000, numbers.stop))))
