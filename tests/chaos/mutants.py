"""Protections taken out, to show that a run without them fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from sqlalchemy.engine import Connection

from skeldir_huey.queue import cron
from skeldir_huey.queue import settle as settlement
from skeldir_huey.queue.jobs import Job, commit
from skeldir_huey.queue.outcomes import Outcome
from skeldir_huey.queue.rescue import Rescuer
from skeldir_huey.queue.signals import StrictSignals
from skeldir_huey.queue.storage import PostgresStorage


def no_fence() -> None:
    """Settle also what is no longer ours: a worker that wakes commits its effect a second time."""
    end_row = settlement._end_row

    def without_fence(connection: Connection, job: Job, outcome: Outcome) -> bool:
        end_row(connection, job, outcome)
        return True

    settlement._end_row = without_fence


def ack_apart() -> None:
    """Commit the effect by itself, and the job's end in a second transaction."""
    real = Job.transaction

    @contextmanager
    def commits_at_once(self: Job, commit_now: bool = False) -> Iterator[Connection]:
        with real(self, commit_now) as connection:
            yield connection
        if not commit_now:
            commit(connection)
            connection.begin()

    Job.transaction = commits_at_once  # type: ignore[method-assign]


def no_rescue() -> None:
    """Leave the jobs of the dead to the dead."""
    Rescuer.sweep = lambda self: 0  # type: ignore[method-assign]


def no_tick_key() -> None:
    """Let each consumer remember by itself which minutes it has added, as stock Huey does."""
    real = PostgresStorage.together
    last: dict[str, Any] = {}

    @contextmanager
    def together(self: PostgresStorage) -> Iterator[Any]:
        with real(self) as run:

            def remembering(text: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
                if text == cron.statement("tick_last"):
                    return [run(text, parameters)[0] | {"last_tick": last.get(parameters["task_name"])}]
                if text == cron.statement("tick_move"):
                    last[parameters["task_name"]] = parameters["minute"]
                    return [parameters]
                return run(text, parameters | {"task_id": str(uuid4())} if "task_id" in parameters else parameters)

            yield remembering

    PostgresStorage.together = together  # type: ignore[method-assign]


def dead_raises_once() -> None:
    """Let a receiver of `dead` raise KeyError the first time that a job dies in this process."""
    real = StrictSignals.send_dead
    first = iter([True])

    def send_dead(self: StrictSignals, job: Job, error_type: str, error: BaseException | None) -> None:
        real(self, job, error_type, error)
        if next(first, False):
            raise KeyError("a receiver that fails once")

    StrictSignals.send_dead = send_dead  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    made.__name__: made for made in (no_fence, ack_apart, no_rescue, no_tick_key)
}  # a run with one of these must fail
_FAULTS = {dead_raises_once.__name__: dead_raises_once}  # for a test of its own


def apply(names: str) -> None:
    """Take out the protections that are named, separated by commas."""
    for name in filter(None, names.split(",")):
        (MUTANTS | _FAULTS)[name]()
