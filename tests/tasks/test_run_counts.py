"""Runs are counted when they are settled: what was fenced, failed or took another attempt counts nothing of success."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from skeldir_huey import config, metrics
from skeldir_huey.queue import states
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.outcomes import Outcome
from skeldir_huey.queue.unknown import job_of_claim
from skeldir_huey.tasks.attribution import schedule_recompute_window
from skeldir_huey.tasks.versions import schedule_recompute_versions
from tests.attribution.runner import CHANNELS, NEXT_DAY, make_version
from tests.cluster import Database
from tests.factories import DAY, make_event, make_tenant
from tests.test_metrics import scraped

RunAll = Callable[[], int]
VERSION = "even_split@1.0.0"
GOOD, BAD = 'skeldir_runs_total{outcome="succeeded"}', 'skeldir_runs_total{outcome="failed"}'
EVENTS, ROWS, FENCED = "skeldir_run_events_total", "skeldir_run_allocations_total", "huey_jobs_fenced_total"
ALL = (GOOD, BAD, EVENTS, ROWS, FENCED)


@pytest.fixture
def tenant(database: Database, huey: SkeldirHuey) -> UUID:
    tenant_id = make_tenant(database)
    make_event(database, tenant_id, minutes=60, cents=10_000)
    make_event(database, tenant_id, minutes=120, cents=15_000)
    make_version(tenant_id, "even_split", publish=True, channels=CHANNELS)
    return tenant_id


@contextmanager
def counted(**expected: float) -> Iterator[None]:
    """Hold the counters against what they are to grow by in the block."""
    before = scraped(metrics.store)
    yield
    after = scraped(metrics.store)
    assert {name: after[name] - before[name] for name in ALL} == {
        name: expected.get(key, 0) for name, key in zip(ALL, ("good", "bad", "events", "rows", "fenced"), strict=True)
    }


def test_a_run_and_runs_of_several_versions(tenant: UUID, run_all: RunAll) -> None:
    schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION)
    with counted(good=1, events=2, rows=6):
        run_all()
    versions = [make_version(tenant, name) for name in ("first_touch", "last_touch")]
    schedule_recompute_versions(tenant, DAY, NEXT_DAY, versions)
    with counted(good=2, events=4, rows=4):
        run_all()


def test_a_fenced_run_counts_nothing(database: Database, tenant: UUID, huey: SkeldirHuey, run_all: RunAll) -> None:
    schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION)

    @huey.post_execute(name="rescued")
    def rescued(task: object, value: object, error: object) -> None:
        database.query("update huey.job set claim_token = gen_random_uuid() where state = 'running'")

    try:
        with counted(fenced=1):
            run_all()
    finally:
        huey.unregister_post_execute("rescued")
    assert database.query("select status from attribution_recompute_jobs") == [("running",)]


def test_a_run_that_fails_at_its_commit_counts_as_failed_once(
    database: Database, tenant: UUID, run_all: RunAll
) -> None:
    """The effects cannot be committed: the attempt failed, whatever its function said."""
    database.query(
        "create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;"
        "create constraint trigger refuse after insert on attribution_allocations deferrable initially deferred"
        " for each row execute function refuse()"
    )
    schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION)
    with counted(bad=1):
        run_all()
    assert database.query("select status from attribution_recompute_jobs") == [("failed",)]


def test_a_failed_and_a_buried_run(
    database: Database, tenant: UUID, huey: SkeldirHuey, run_all: RunAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKELDIR_TEST_TASKS", "1")
    config.reload()
    schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION, fail=True)
    with counted(bad=1):
        run_all()
    schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSION)
    claimed = huey.storage.dequeue()
    assert claimed is not None and claimed.claim is not None
    with counted(bad=1):  # as the rescue does with a job whose worker died too often
        huey.settle_job(job_of_claim(claimed.claim), Outcome(states.DEAD, error_type=states.WORKER_LOST))
