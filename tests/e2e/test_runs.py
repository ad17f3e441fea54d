"""Runs in real consumer processes: killed in the middle, in parallel and overlapping, they end in one state."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from skeldir_huey.tasks.attribution import schedule_recompute_window
from skeldir_huey.tasks.backfill import start_backfill
from tests.attribution.runner import make_version, run_window
from tests.cluster import Database
from tests.e2e.conftest import StartConsumer
from tests.factories import DAY, make_event, make_tenant
from tests.waiting import until

VERSION = "linear@1.0.0"
END = DAY + timedelta(days=6)


@pytest.fixture
def tenant(database: Database) -> UUID:
    """Thirty sales of six days with their touches, every third refunded in part."""
    tenant_id = make_tenant(database)
    chance = random.Random(11)
    for number in range(30):
        visitor, minute = uuid4(), number * 288 + 100
        for _ in range(chance.randint(0, 4)):
            channel = chance.choice(["email", "direct", "organic"])
            make_event(
                database,
                tenant_id,
                kind="touch",
                visitor=visitor,
                minutes=minute - chance.randint(1, 5000),
                channel=channel,
            )
        sale = make_event(database, tenant_id, visitor=visitor, minutes=minute, cents=chance.randint(1, 9999))
        if number % 3 == 0:
            make_event(database, tenant_id, kind="adjustment", minutes=minute + 10, cents=-1, parent_event_id=str(sale))
    make_version(tenant_id, "linear", publish=True)
    return tenant_id


def model_lock(tenant_id: UUID) -> str:
    return f"skeldir.allocate:{tenant_id}:{VERSION}"


@contextmanager
def locked_model(database: Database, tenant_id: UUID) -> Iterator[None]:
    """Hold the lock that every run of the version takes before it reads."""
    connection = database.connect(autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (model_lock(tenant_id),))
        try:
            yield
        finally:
            connection.close()


def waits_for_the_lock(database: Database, tenant_id: UUID) -> bool:
    """Say whether a run waits for it, and not something else for another lock."""
    waiting = """
    select count(*) from pg_locks where locktype = 'advisory' and not granted
       and (classid::bigint << 32 | objid::bigint) = hashtextextended(%s, 0)
    """
    return bool(database.value(waiting, (model_lock(tenant_id),)))


def statuses(database: Database) -> set[str]:
    return {row[0] for row in database.query("select status from attribution_recompute_jobs")}


def reference(database: Database, tenant_id: UUID) -> bytes:
    """The checksum of three serial runs, of allocations that are deleted again."""
    found = {run_window(tenant_id, VERSION, DAY, END).checksum for _ in range(3)}
    assert len(found) == 1
    database.query("delete from attribution_allocations")
    database.query("delete from attribution_recompute_jobs")
    digest = found.pop()
    assert digest is not None
    return digest


def test_run_killed_in_the_middle_ends_like_the_others(
    database: Database, start_consumer: StartConsumer, tenant: UUID
) -> None:
    wanted = reference(database, tenant)
    first = start_consumer()
    with locked_model(database, tenant):
        schedule_recompute_window(tenant, DAY, END, VERSION)
        until(lambda: waits_for_the_lock(database, tenant), 30, first.log.read_text)
        assert statuses(database) == {"running"}
        first.end(signal.SIGKILL)
    assert database.value("select count(*) from attribution_allocations") == 0
    second = start_consumer()
    until(lambda: statuses(database) == {"succeeded"}, 30, second.log.read_text)
    ((digest, run_count),) = database.query("select checksum, run_count from attribution_recompute_jobs")
    assert (bytes(digest), run_count) == (wanted, 1)


def test_ten_overlapping_runs_at_once_end_like_one(
    database: Database, start_consumer: StartConsumer, tenant: UUID
) -> None:
    wanted = reference(database, tenant)
    start_consumer("-w", "4")
    for number in range(5):
        start = DAY + timedelta(hours=13 * number)
        schedule_recompute_window(tenant, start, start + timedelta(days=2), VERSION)
        schedule_recompute_window(tenant, DAY + timedelta(days=number), END, VERSION)
    until(lambda: statuses(database) == {"succeeded"}, 30)
    assert database.value("select count(*) from attribution_recompute_jobs") == 10
    last = run_window(tenant, VERSION, DAY, END)
    assert (last.checksum, last.changed_count) == (wanted, 0)


def test_backfill_goes_on_after_its_worker_was_killed(
    database: Database, start_consumer: StartConsumer, tenant: UUID
) -> None:
    wanted = reference(database, tenant)
    first = start_consumer()
    with locked_model(database, tenant):
        start_backfill(tenant, DAY, END, VERSION)
        until(lambda: waits_for_the_lock(database, tenant), 30, first.log.read_text)
        first.end(signal.SIGKILL)
    second = start_consumer()
    until(lambda: database.value("select status from backfills") == "succeeded", 30, second.log.read_text)
    last = run_window(tenant, VERSION, DAY, END)
    assert (last.checksum, last.changed_count) == (wanted, 0)
