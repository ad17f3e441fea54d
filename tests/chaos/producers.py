"""Producers: they place orders, each with the jobs that it needs, and what effects they must have had in the end."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import peewee
import psycopg2
import sqlalchemy.exc
from huey.api import Task

from skeldir_huey.db.engine import transaction
from tests.chaos import work

KINDS = {  # weights; a quarter is settled in batches, the rest one by one
    "plain": 25,
    "loose": 5,
    "effect": 28,
    "later": 4,
    "flaky": 8,
    "chain": 8,
    "parent": 6,
    "chord": 4,
    "steps": 8,
    "hopeless": 4,
}
PATIENT = 12  # the first orders: long jobs, one for each worker, to be frozen in
THREADS = 2
CHILDREN, MEMBERS, LINKS, STEPS = 3, 4, 3, 3
_LOST = (psycopg2.Error, sqlalchemy.exc.DBAPIError, peewee.PeeweeException)


def expected_effects(kind: str, marker: str) -> list[str]:
    """Return the effects that an order has had when all of it is done, each exactly once."""
    return {
        "effect": [marker],
        "later": [marker],
        "patient": [marker],
        "flaky": [marker],
        "chain": [f"{marker}.{number}" for number in range(LINKS)],
        "parent": [marker, *(f"{marker}.{number}" for number in range(CHILDREN))],
        "chord": [*(f"{marker}.{number}" for number in range(MEMBERS)), f"{marker}.end"],
        "steps": [f"{marker}.{number}" for number in range(STEPS)],
    }.get(kind, [])


class Producers:
    """Threads that place `total` orders, spread evenly over `seconds`."""

    def __init__(self, seed: int, total: int, seconds: float, tenants: list[UUID], waves: int = 1) -> None:
        rng = random.Random(seed)
        kinds = rng.choices(list(KINDS), weights=list(KINDS.values()), k=total)
        for wave in range(waves):
            first = total * wave // waves
            kinds[first : first + PATIENT] = ["patient"] * len(kinds[first : first + PATIENT])
        self.total = total
        self.unsure = 0  # answers that were lost on the way
        self.broken: list[str] = []  # errors that no fault explains
        self._plan = [(kind, f"{kind}-{number}", tenants[number % 3], rng) for number, kind in enumerate(kinds)]
        self._seconds = seconds
        self._stop = threading.Event()
        self._next = 0
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=self._place_all, daemon=True) for _ in range(THREADS)]

    def start(self) -> None:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def join(self, timeout: float) -> bool:
        """Wait until all orders are placed; says whether they are."""
        until = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._stop.set()
        return not any(thread.is_alive() for thread in self._threads) and not self.broken

    def _place_all(self) -> None:
        try:
            self._run()
        except Exception as error:
            self.broken.append(repr(error))
            raise

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                if self._next == self.total:
                    return
                number, self._next = self._next, self._next + 1
                kind, marker, tenant, rng = self._plan[number]
                make = _task_of(kind, marker, tenant, rng)
            due = self._began + self._seconds * number / self.total
            self._stop.wait(max(0.0, due - time.monotonic()))
            self._place(kind, marker, tenant, make)

    def _place(self, kind: str, marker: str, tenant: UUID, task: Task) -> None:
        order = {"marker": marker, "kind": kind, "task_id": task.id, "tenant": tenant, "sure": kind != "loose"}
        # When the answer to COMMIT is lost, the next try finds the order there: the job exists exactly as often as it.
        self._until_it_works(lambda: _order(order, task if kind != "loose" else None))
        if kind == "loose":  # in a transaction of its own; tried again, its task id makes it one job
            self._until_it_works(lambda: work.huey.enqueue(task))
            self._until_it_works(lambda: _make_sure(order))

    def _until_it_works(self, action: Callable[[], Any]) -> None:
        while not self._stop.is_set():
            try:
                action()
                return
            except _LOST:
                self.unsure += 1
                self._stop.wait(0.1)


def _order(order: dict[str, Any], task: Task | None) -> None:
    with transaction(order["tenant"]) as connection:
        added = connection.exec_driver_sql(
            "insert into chaos_order values (%(marker)s, %(kind)s, %(task_id)s, %(tenant)s, %(sure)s)"
            " on conflict do nothing returning marker",
            order,
        ).first()
        if added is not None and task is not None:
            work.huey.enqueue_in(connection, task)


def _make_sure(order: dict[str, Any]) -> None:
    with transaction(order["tenant"]) as connection:
        connection.exec_driver_sql("update chaos_order set sure = true where marker = %(marker)s", order)


def _seconds(rng: random.Random) -> float:
    return rng.choices((rng.uniform(0, 0.05), rng.uniform(0.1, 0.4), rng.uniform(0.6, 1.5)), weights=(50, 40, 10))[0]


def _task_of(kind: str, marker: str, tenant: UUID, rng: random.Random) -> Task:
    seconds = _seconds(rng)
    if kind in ("plain", "loose"):
        return work.plain.s(marker, rng.choice((0.0, 0.0, 0.002, seconds / 4)), tenant_id=tenant)
    if kind == "patient":
        return work.patient.s(marker, 3.0, tenant_id=tenant)
    if kind == "later":
        return work.effect.s(marker, seconds, tenant_id=tenant, delay=1)
    if kind == "flaky":
        return work.flaky.s(marker, seconds / 4, tenant_id=tenant, retry_delay=rng.choice((0, 0, 1)))
    if kind == "chain":
        first = work.effect.s(f"{marker}.0", seconds / 2, tenant_id=tenant)
        for number in range(1, LINKS):
            first.then(work.effect, f"{marker}.{number}", seconds / 2, tenant_id=tenant)
        return first
    if kind == "parent":
        return work.parent.s(marker, CHILDREN, seconds / 4, tenant_id=tenant)
    if kind == "chord":
        return work.starts_chord.s(marker, MEMBERS, seconds / 4, tenant_id=tenant)
    if kind == "steps":
        return work.steps.s(marker, STEPS, seconds / 2, tenant_id=tenant)
    if kind == "hopeless":
        return work.hopeless.s(marker, tenant_id=tenant)
    return work.effect.s(marker, seconds, tenant_id=tenant)
