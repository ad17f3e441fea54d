"""Celery on the broker sqla+postgresql with results in Postgres, acknowledging late: the nearest to our promise."""

from __future__ import annotations

from celery import Celery

from bench.queue.noop import note
from bench.queue.peers import where

app = Celery("bench")
app.conf.update(
    broker_url=f"sqla+{where.url('postgresql+psycopg2')}",
    result_backend=f"db+{where.url('postgresql+psycopg2')}",
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)
noop = app.task(name="noop")(note)


def install() -> None:
    """Make the tables of transport and results."""
    with app.connection_for_write() as connection:
        app.amqp.queues["celery"](connection.default_channel).declare()
    app.backend.ResultSession().close()


def enqueue(number: int) -> None:
    """Add one job."""
    noop.delay(number)
