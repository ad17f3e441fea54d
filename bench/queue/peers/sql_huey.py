"""Stock SqlHuey: peewee over psycopg2, polling."""

from __future__ import annotations

import os

from huey.contrib.sql_huey import SqlHuey
from peewee import PostgresqlDatabase

from bench.queue.noop import note
from bench.queue.peers import where

database = PostgresqlDatabase(os.environ[where.DATABASE], host=os.environ[where.SOCKET], port=5432, user="postgres")
huey = SqlHuey("bench", database=database)
noop = huey.task(name="noop")(note)


def install() -> None:
    """Make its tables."""
    huey.storage.create_tables()


def enqueue(number: int) -> None:
    """Add one job."""
    noop(number)


def enqueue_bulk(numbers: range) -> None:
    """Add many jobs: it has no call for that, so one transaction around single ones."""
    with database.atomic():
        for number in numbers:
            noop(number)
