"""Runs as jobs: scheduled with their row, executed once, and never left running after their job ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from huey.exceptions import CancelExecution

from skeldir_huey import config
from skeldir_huey.attribution import runs
from skeldir_huey.attribution.types import Run
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError
from skeldir_huey.queue import dead_letters, states
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.outcomes import Outcome
from skeldir_huey.queue.unknown import job_of_claim
from skeldir_huey.tasks.attribution import recompute_dirty, recompute_window, schedule_recompute_window
from tests.attribution.runner import CHANNELS, NEXT_DAY, allocations, make_version
from tests.cluster import Database
from tests.factories import DAY, make_event, make_tenant

RunAll = Callable[[], int]
VERSION = "even_split@1.0.0"


@pytest.fixture
def tenant(database: Database, huey: SkeldirHuey) -> UUID:
    tenant_id = make_tenant(database)
    make_event(database, tenant_id, minutes=60, cents=10_000)
    make_event(database, tenant_id, minutes=120, cents=15_000)
    make_version(tenant_id, "even_split", publish=True, channels=CHANNELS)
    return tenant_id


def statuses(database: Database) -> list[tuple[str, int, str | None]]:
    return database.query("select status, run_count, error_message from attribution_recompute_jobs order by created_at")


def jobs(database: Database) -> list[str]:
    return [row[0] for row in database.query("select task_name from huey.job order by id")]


def test_scheduled_run_is_executed_and_refreshes_the_reports(database: Database, tenant: UUID, run_all: RunAll) -> None:
    correlation_id = uuid4()
    run = schedule_recompute_window(
        tenant, "2025-06-01T02:00:00+02:00", "2025-06-02T00:00:00Z", VERSION, correlation_id
    )
    assert (run.status, run.window_start, run.last_correlation_id) == ("pending", DAY, correlation_id)
    assert jobs(database) == ["skeldir.attribution.recompute_window"]
    job = database.query("select task_id, tenant_id, correlation_id, lane from huey.job")
    assert job == [(run.task_id, tenant, correlation_id, "attribution")]

    assert run_all() == 2
    assert statuses(database) == [("succeeded", 1, None)]
    assert [cents for _, cents in allocations(database, VERSION)] == [3334, 3333, 3333, 5000, 5000, 5000]
    assert database.value("select sum(allocated_revenue_cents) from mv_channel_performance") == 25_000
    assert database.query("select event_count, allocation_count from mv_allocation_summary") == [(2, 6)]

    again = schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION)
    assert (again.id, again.status, again.run_count) == (run.id, "pending", 1)
    run_all()
    assert statuses(database) == [("succeeded", 2, None)]
    checksums = database.query("select checksum, changed_count from attribution_recompute_jobs")
    assert checksums[0][1] == 0 and checksums[0][0] is not None


def test_pending_run_is_returned_instead_of_a_second_job(database: Database, tenant: UUID, run_all: RunAll) -> None:
    first = schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION)
    assert schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION) == first
    assert len(jobs(database)) == 1
    other = schedule_recompute_window(tenant, DAY, NEXT_DAY + timedelta(days=1), VERSION)
    assert other.id != first.id and len(jobs(database)) == 2


def test_job_enqueued_without_a_run_makes_one_and_later_schedule_finds_it(
    database: Database, tenant: UUID, huey: SkeldirHuey, run_all: RunAll
) -> None:
    values = {"window_start": DAY.isoformat(), "window_end": NEXT_DAY.isoformat(), "model_version": VERSION}
    result = recompute_window(tenant_id=tenant, **values)
    run = schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION)
    assert run.task_id == result.id and len(jobs(database)) == 1
    run_all()
    assert statuses(database) == [("succeeded", 1, None)]


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("tenant_id", {"tenant_id": "acme"}),
        ("window_start", {"window_start": "2025-06-01"}),
        ("window_start", {"window_start": "2025-06-01T00:00:00"}),
        ("window_start", {"window_start": "yesterday"}),
        ("window_end", {"window_end": datetime(2025, 6, 2)}),  # noqa: DTZ001 - that is the point
        ("window_end", {"window_end": DAY}),
        ("window_end", {"window_end": DAY - timedelta(days=1)}),
        ("model_version", {"model_version": "even_split@9.9.9"}),
        ("model_version", {"model_version": "even_split"}),
        ("model_version", {"model_version": None}),
        ("model_version", {"tenant_id": UUID(int=7)}),
        ("correlation_id", {"correlation_id": "x"}),
        ("fail", {"fail": True}),
    ],
)
def test_bad_input_names_the_field_and_writes_nothing(
    database: Database, tenant: UUID, field: str, change: dict[str, object]
) -> None:
    given = {"tenant_id": tenant, "window_start": DAY, "window_end": NEXT_DAY, "model_version": VERSION} | change
    with pytest.raises(InputError) as refused:
        schedule_recompute_window(**given)  # type: ignore[arg-type]
    assert refused.value.field == field
    assert statuses(database) == [] and jobs(database) == []


def test_dead_job_fails_its_run_and_the_replay_completes_it(
    database: Database, tenant: UUID, run_all: RunAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKELDIR_TEST_TASKS", "1")
    config.reload()
    run = schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION, fail=True)
    run_all()
    message = "attribution recompute failure requested"
    assert statuses(database) == [("failed", 0, message)]
    letters = database.query("select id, tenant_id, task_id, error_message, status from worker_failed_jobs")
    assert letters[0][1:] == (tenant, run.task_id, message, "pending")
    assert database.value("select count(*) from attribution_allocations") == 0

    with transaction(tenant) as connection:
        dead_letters.replay(connection, letters[0][0])
    assert statuses(database) == [("pending", 0, None)], "replayed, its run is to be done again"
    run_all()
    assert statuses(database) == [("failed", 0, message)]
    assert database.query("select status, retry_count from worker_failed_jobs") == [("pending", 1)]

    monkeypatch.delenv("SKELDIR_TEST_TASKS")
    config.reload()
    with transaction(tenant) as connection:
        dead_letters.replay(connection, letters[0][0])
    run_all()
    assert statuses(database) == [("succeeded", 1, None)]
    assert database.query("select status from worker_failed_jobs") == [("resolved",)]
    assert database.value("select count(*) from attribution_allocations") == 6


def test_cancelled_job_fails_its_run(database: Database, tenant: UUID, huey: SkeldirHuey, run_all: RunAll) -> None:
    run = schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION)

    @huey.pre_execute(name="refuse")
    def refuse(task: object) -> None:
        raise CancelExecution()

    try:
        run_all()
    finally:
        huey.unregister_pre_execute("refuse")
    assert statuses(database) == [("failed", 0, "the job was cancelled")]
    assert run.status == "pending"


def test_run_of_a_lost_worker_fails_though_its_message_is_not_read(
    database: Database, tenant: UUID, huey: SkeldirHuey
) -> None:
    schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION)
    claimed = huey.storage.dequeue()
    assert claimed is not None and claimed.claim is not None
    huey.settle_job(job_of_claim(claimed.claim), Outcome(states.DEAD, error_type=states.WORKER_LOST))
    assert statuses(database) == [("failed", 0, "worker_lost")]
    assert database.query("select error_type from worker_failed_jobs") == [("worker_lost",)]


def test_scheduled_by_many_at_once_is_one_run_and_one_job(database: Database, tenant: UUID) -> None:
    gate = threading.Barrier(6)
    found: list[Run] = []

    def ask() -> None:
        gate.wait()
        found.append(schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and len({(run.id, run.task_id) for run in found}) == 1
    assert len(jobs(database)) == 1


def test_running_is_committed_while_the_job_works(
    database: Database, tenant: UUID, run_all: RunAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    start = runs.read

    def look(*arguments: object) -> object:
        seen.extend(row[0] for row in statuses(database))
        return start(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "read", look)
    schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION)
    run_all()
    assert set(seen) == {"running"}
    assert statuses(database) == [("succeeded", 1, None)]


def dirty(database: Database, tenant_id: UUID, start: datetime, end: datetime) -> None:
    database.query(
        "insert into attribution_dirty_ranges (tenant_id, range_start, range_end, reason) values (%s, %s, %s, 'test')",
        (str(tenant_id), start, end),
    )


def windows(database: Database) -> list[tuple[datetime, datetime, str]]:
    return database.query(
        "select window_start, window_end, status from attribution_recompute_jobs order by window_start"
    )


def test_dirty_ranges_become_few_windows_of_whole_days_one_at_a_time(
    database: Database, tenant: UUID, run_all: RunAll
) -> None:
    hour = timedelta(hours=1)
    dirty(database, tenant, DAY + 3 * hour, DAY + 4 * hour)
    dirty(database, tenant, DAY + 5 * hour, NEXT_DAY)  # ends where the next day begins: still that day
    dirty(database, tenant, NEXT_DAY, NEXT_DAY + timedelta(microseconds=1))  # the day beside it: one window
    far = DAY + timedelta(days=20)
    dirty(database, tenant, far, far + hour)
    other = make_tenant(database, "other")  # has published nothing
    dirty(database, other, DAY, NEXT_DAY)

    recompute_dirty()
    run_all()
    day = timedelta(days=1)
    assert windows(database) == [(DAY, DAY + 2 * day, "succeeded")]
    recompute_dirty()
    recompute_dirty()
    run_all()
    assert windows(database) == [(DAY, DAY + 2 * day, "succeeded"), (far, far + day, "succeeded")]
    assert database.query("select tenant_id from attribution_dirty_ranges") == [(other,)]
    recompute_dirty()
    run_all()
    assert [row[0] for row in database.query("select run_count from attribution_recompute_jobs")] == [1, 1]


def test_dirty_window_waits_for_a_run_under_way_and_passes_by_a_failed_one(
    database: Database, tenant: UUID, run_all: RunAll
) -> None:
    dirty(database, tenant, DAY, NEXT_DAY)
    far = DAY + timedelta(days=20)
    dirty(database, tenant, far, far + timedelta(hours=1))
    schedule_recompute_window(tenant, far, far + timedelta(days=3), VERSION)
    recompute_dirty.call_local()
    assert len(jobs(database)) == 1
    database.query("update attribution_recompute_jobs set status = 'failed'")
    database.query("delete from huey.job")
    database.query(
        "insert into attribution_recompute_jobs (tenant_id, window_start, window_end, model_version, status, task_id)"
        " values (%s, %s, %s, %s, 'failed', 'dead')",
        (str(tenant), DAY, NEXT_DAY, VERSION),
    )
    recompute_dirty.call_local()
    run_all()
    assert (DAY, NEXT_DAY, "failed") in windows(database)
    assert (far, far + timedelta(days=1), "succeeded") in windows(database)
