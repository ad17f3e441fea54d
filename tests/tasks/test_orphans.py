"""A run never stays under way after its job ended, however it ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from skeldir_huey.attribution import runs
from skeldir_huey.clock import utc_now
from skeldir_huey.db.engine import transaction
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.tasks.attribution import recompute_dirty, recompute_window, schedule_recompute_window
from skeldir_huey.tasks.backfill import resume_backfill, start_backfill
from skeldir_huey.tasks.orphans import end_orphans
from skeldir_huey.tasks.versions import schedule_recompute_versions
from tests.attribution.runner import CHANNELS, NEXT_DAY, make_version, run_window
from tests.cluster import Database
from tests.factories import DAY, make_event, make_tenant

RunAll = Callable[[], int]
VERSIONS = ["even_split@1.0.0", "linear@1.0.0"]
VERSION = VERSIONS[0]


@pytest.fixture
def tenant(database: Database, huey: SkeldirHuey) -> UUID:
    tenant_id = make_tenant(database)
    make_event(database, tenant_id, minutes=60, cents=10_000)
    make_version(tenant_id, "even_split", publish=True, channels=CHANNELS)
    make_version(tenant_id, "linear")
    return tenant_id


def ends(database: Database) -> list[tuple[str, str | None]]:
    return database.query("select status, error_message from attribution_recompute_jobs order by model_version")


def test_expired_job(database: Database, tenant: UUID, huey: SkeldirHuey, run_all: RunAll) -> None:
    identity = runs.identify(tenant, DAY, NEXT_DAY, VERSION)
    task = recompute_window.s(
        tenant_id=tenant, window_start=DAY.isoformat(), window_end=NEXT_DAY.isoformat(), model_version=VERSION
    )
    task.expires = utc_now().replace(tzinfo=None) - timedelta(seconds=1)
    with transaction(tenant) as connection:
        run, _ = runs.request(connection, identity, uuid4())
        runs.assign(connection, tenant, run.id, huey.enqueue_in(connection, task))
    run_all()
    assert ends(database) == [("failed", "not run: expired")]
    assert database.query("select error_type from worker_failed_jobs") == [("expired",)]


def test_revoked_job(database: Database, tenant: UUID, huey: SkeldirHuey, run_all: RunAll) -> None:
    run = schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION)
    assert run.task_id is not None
    huey.revoke_by_id(run.task_id)
    run_all()
    assert ends(database) == [("failed", "the job was cancelled")]


def test_revoked_job_of_several_versions(database: Database, tenant: UUID, huey: SkeldirHuey, run_all: RunAll) -> None:
    found = schedule_recompute_versions(tenant, DAY, NEXT_DAY, VERSIONS)
    assert found[0].task_id is not None
    huey.revoke_by_id(found[0].task_id)
    run_all()
    assert ends(database) == [("failed", "the job was cancelled")] * 2


def test_flushed_queue(database: Database, tenant: UUID, huey: SkeldirHuey, run_all: RunAll) -> None:
    waiting = schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION)
    end_orphans.call_local()
    assert ends(database) == [("pending", None)], "its job waits"
    data = huey.storage.dequeue()  # claimed: running, and no flush takes it
    assert data is not None
    with transaction(tenant) as connection:
        runs.start(connection, runs.identify(tenant, DAY, NEXT_DAY, VERSION), waiting.task_id, None)
    other = schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSIONS[1])
    huey.storage.flush_queue()
    end_orphans.call_local()
    gone = f"its job is gone from the queue without an end, flushed or deleted: {other.task_id}"
    assert ends(database) == [("running", None), ("failed", gone)]
    task = huey.task_of(data)
    assert task is not None
    huey.execute(task)
    assert ends(database)[0] == ("succeeded", None)

    again = schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSIONS[1])
    assert (again.status, again.id) == ("pending", other.id)
    run_all()
    assert [status for status, _ in ends(database)] == ["succeeded"] * 2


def test_flushed_run_for_late_data_is_asked_for_again(
    database: Database, tenant: UUID, huey: SkeldirHuey, run_all: RunAll
) -> None:
    database.query(
        "insert into attribution_dirty_ranges (tenant_id, range_start, range_end, reason) values (%s, %s, %s, 'test')",
        (str(tenant), DAY, NEXT_DAY),
    )
    recompute_dirty.call_local()
    huey.storage.flush_queue()
    recompute_dirty.call_local()
    assert huey.storage.dequeue() is None, "a run is under way, it believes"
    end_orphans.call_local()
    recompute_dirty.call_local()
    run_all()
    assert ends(database) == [("succeeded", None)]
    assert database.value("select count(*) from attribution_dirty_ranges") == 0


def test_flushed_backfill_stops_and_can_go_on(
    database: Database, tenant: UUID, huey: SkeldirHuey, run_all: RunAll
) -> None:
    found = start_backfill(tenant, DAY, DAY + timedelta(days=2), VERSION)
    end_orphans.call_local()
    data = huey.storage.dequeue()
    assert data is not None
    end_orphans.call_local()
    task = huey.task_of(data)
    assert task is not None
    huey.execute(task)
    end_orphans.call_local()
    state = "select status, error_message is not null from backfills"
    assert database.query(state) == [("running", False)], "a step waits, is claimed, then a day's run waits"
    huey.storage.flush_queue()
    end_orphans.call_local()
    assert database.query(state) == [("failed", True)]
    resume_backfill(tenant, found.id)
    run_all()
    assert database.query(state) == [("succeeded", False)]


def test_sweep_of_one_tenant_leaves_others_alone(database: Database, tenant: UUID, huey: SkeldirHuey) -> None:
    other = make_tenant(database, "other")
    make_event(database, other)
    run_window(other, make_version(other, "linear"))
    schedule_recompute_window(other, DAY, NEXT_DAY, "linear@1.0.0")
    huey.storage.flush_queue()
    schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION)
    end_orphans.call_local()
    found = database.query("select tenant_id, status from attribution_recompute_jobs order by status")
    assert found == [(other, "failed"), (tenant, "pending")]
