"""Named points at which a process ends itself. Random kills hardly ever hit a window of microseconds; these always do.

A point costs one token, a file `tokens/<point>/<number>` in the run's folder; deleting it is atomic, so there are
exactly as many crashes as tokens.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import Connection

from skeldir_huey.queue import executor, rescue, states
from skeldir_huey.queue import settle as settlement
from skeldir_huey.queue.consumer import QueueScheduler
from skeldir_huey.queue.jobs import Job
from skeldir_huey.queue.outcomes import Outcome
from skeldir_huey.queue.settler import Settler
from skeldir_huey.queue.storage import PostgresStorage, statement
from tests.chaos.work import folder

_COMMITS = ("settle", "retry", "chain", "chord", "dead", "tick", "rescue")
POINTS = (
    "claim.before",
    "claim.after",
    "effect.inside",
    "effect.after",
    "step.committed",
    "batch.before",
    "batch.after",
    "promote.before",
    "promote.after",
    *(f"{what}.{when}_commit" for what in _COMMITS for when in ("before", "after")),
)
CRASHED = 86  # the exit code

_armed: frozenset[str] = frozenset()
_settling = threading.local()


def put_tokens(rounds: int) -> None:
    """Let each point crash so many times."""
    for point in POINTS:
        place = folder() / "tokens" / point
        place.mkdir(parents=True)
        for number in range(rounds):
            (place / str(number)).touch()


def tokens_left() -> dict[str, int]:
    """Return how many crashes each point has still to come."""
    return {point: len(list((folder() / "tokens" / point).iterdir())) for point in POINTS}


def reach(point: str) -> None:
    """End this process here and now, if the point is armed and has a token left."""
    if point not in _armed:
        return
    for token in (folder() / "tokens" / point).iterdir():
        try:
            token.unlink()
        except FileNotFoundError:
            continue  # another process took it
        os._exit(CRASHED)


def arm(names: str) -> None:
    """Make the points crash that are named, separated by commas; "all" names all, "" none."""
    global _armed  # noqa: PLW0603
    if not names:
        return
    _armed = frozenset(POINTS) if names == "all" else frozenset(names.split(","))
    assert _armed <= set(POINTS), f"unknown crash point in {names}"
    _claims()
    _effects()
    _settlements()
    _ticks()
    _around(rescue, "commit", lambda: "rescue")
    _promotions()


def _around(module: Any, name: str, what: Callable[[], str | None]) -> None:
    """Make a module's `commit` crash before or after it, under the name that `what` gives to the moment."""
    real = getattr(module, name)

    def commit(connection: Connection) -> None:
        moment = what()
        reach(f"{moment}.before_commit")
        real(connection)
        reach(f"{moment}.after_commit")

    setattr(module, name, commit)


def _claims() -> None:
    real = PostgresStorage.claim

    def claim(self: PostgresStorage, *args: Any, **kwargs: Any) -> Any:
        reach("claim.before")
        claims = real(self, *args, **kwargs)
        if claims:
            reach("claim.after")
        return claims

    PostgresStorage.claim = claim  # type: ignore[method-assign]


def _effects() -> None:
    real, real_step = Job.transaction, Job.commit_fenced

    @contextmanager
    def transaction(self: Job, commit_now: bool = False) -> Iterator[Connection]:
        with real(self, commit_now) as connection:
            yield connection
            reach("effect.inside")
        reach("effect.after")

    def commit_fenced(self: Job) -> None:
        real_step(self)
        reach("step.committed")

    Job.transaction = transaction  # type: ignore[method-assign]
    Job.commit_fenced = commit_fenced  # type: ignore[method-assign]


def _settlements() -> None:
    real, real_batch = executor.settle, Settler._settle

    def settle(job: Job, outcome: Outcome, signals: Any, enqueue_callback: Any) -> None:
        _settling.now = (job, outcome)
        try:
            real(job, outcome, signals, enqueue_callback)
        finally:
            _settling.now = None

    def settle_batch(self: Settler, done: list[Any]) -> Any:
        reach("batch.before")
        settled = real_batch(self, done)
        reach("batch.after")
        return settled

    executor.settle = settle
    _around(settlement, "commit", _kind_of_settlement)
    Settler._settle = settle_batch  # type: ignore[method-assign]


def _kind_of_settlement() -> str | None:
    job, outcome = _settling.now
    if outcome.kind == states.DONE:
        return "chord" if outcome.member else "chain" if job.children else "settle"
    return {states.ERRORED: "retry", states.DEAD: "dead"}.get(outcome.kind)


def _ticks() -> None:
    real = PostgresStorage.together

    @contextmanager
    def together(self: PostgresStorage) -> Iterator[Any]:
        moved = False
        with real(self) as run:

            def noting(text: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
                nonlocal moved
                moved = moved or text == statement("tick_move")
                return run(text, parameters)

            yield noting
            if moved:
                reach("tick.before_commit")
        if moved:
            reach("tick.after_commit")

    PostgresStorage.together = together  # type: ignore[method-assign]


def _promotions() -> None:
    real = QueueScheduler._step

    def step(event: str, action: Any) -> None:
        if event == "promote_failed":
            reach("promote.before")
        real(event, action)
        if event == "promote_failed":
            reach("promote.after")

    QueueScheduler._step = staticmethod(step)  # type: ignore[method-assign]
