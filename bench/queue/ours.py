"""Our side: the product as it ships plus one task. `huey_consumer bench.queue.ours.huey -w 1`."""

from __future__ import annotations

from uuid import UUID

from bench.queue.noop import note
from skeldir_huey.main import huey
from skeldir_huey.tasks.base import tenant_task

TENANT = UUID("7e0a4c1e-0000-4000-8000-000000000001")

__all__ = ["huey"]


@tenant_task(name="bench.noop", lane="ingest")
def noop(number: int, *, tenant_id: UUID) -> int:
    """Do nothing for a tenant, as most tasks of the product work for one."""
    return note(number)


def install() -> None:
    """Do nothing: the database is a copy of a migrated one."""


def enqueue(number: int) -> None:
    """Add one job, committed when this returns."""
    noop(number, tenant_id=TENANT)


def enqueue_bulk(numbers: range) -> None:
    """Add many jobs, 1,000 per statement and commit."""
    huey.enqueue_many(noop.s(number, tenant_id=TENANT) for number in numbers)
