"""Huey's own PostgresHuey: psycopg 3, LISTEN/NOTIFY. It has no way to add many jobs at once."""

from __future__ import annotations

from huey import PostgresHuey

from bench.queue.noop import note
from bench.queue.peers import where

huey = PostgresHuey("bench", dsn=where.url())
noop = huey.task(name="noop")(note)


def install() -> None:
    """Do nothing: importing this module made the tables."""


def enqueue(number: int) -> None:
    """Add one job."""
    noop(number)
