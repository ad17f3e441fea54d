"""Several versions over one window: one job, one build of the journeys, and the state that single runs end in."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
import sqlalchemy as sa

from skeldir_huey.attribution.types import Run
from skeldir_huey.db import engine
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError
from skeldir_huey.queue import dead_letters
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.tasks.attribution import schedule_recompute_window
from skeldir_huey.tasks.versions import schedule_recompute_versions
from tests.attribution.runner import NEXT_DAY, make_version, run_window
from tests.cluster import Database
from tests.factories import DAY, make_event, make_tenant

RunAll = Callable[[], int]
MODELS = ("first_touch", "last_touch", "linear")
VERSIONS = [f"{model}@1.0.0" for model in MODELS]


@pytest.fixture
def tenant(database: Database, huey: SkeldirHuey) -> UUID:
    tenant_id = make_tenant(database)
    visitor = UUID(int=1)
    for minutes, channel in ((1, "email"), (2, "organic"), (3, "direct")):
        make_event(database, tenant_id, kind="touch", visitor=visitor, minutes=minutes, channel=channel)
    make_event(database, tenant_id, visitor=visitor, minutes=60, cents=100)
    for model in MODELS:
        make_version(tenant_id, model)
    return tenant_id


def ends(database: Database) -> list[tuple[str, str, int]]:
    return database.query(
        "select model_version, status, run_count from attribution_recompute_jobs order by model_version"
    )


def test_one_job_reads_the_events_once_and_ends_like_single_runs(
    database: Database, tenant: UUID, run_all: RunAll
) -> None:
    alone = [run_window(tenant, version).checksum for version in VERSIONS]
    database.query("delete from attribution_allocations")
    seen: list[str] = []

    def note(*arguments: object) -> None:
        if "attribution_events_journey" in str(arguments[2]) and "insert into attribution_alloc" in str(arguments[2]):
            seen.append(str(arguments[2]))

    found = schedule_recompute_versions(tenant, DAY, NEXT_DAY, list(reversed(VERSIONS)))
    assert [run.model_version for run in found] == VERSIONS and len({run.task_id for run in found}) == 1
    assert database.query("select task_name from huey.job") == [("skeldir.attribution.recompute_versions",)]
    worker = engine.engine("worker")
    sa.event.listen(worker, "before_cursor_execute", note)
    run_all()
    sa.event.remove(worker, "before_cursor_execute", note)
    assert ends(database) == [(version, "succeeded", 2) for version in VERSIONS]
    stored = database.query("select checksum from attribution_recompute_jobs order by model_version")
    assert [bytes(row[0]) for row in stored] == alone
    assert len(seen) == 1 and seen[0].count("from attribution_events touch\n") == 1, "one build of the journeys"


def test_version_that_is_under_way_keeps_its_job(database: Database, tenant: UUID, run_all: RunAll) -> None:
    single = schedule_recompute_window(tenant, DAY, NEXT_DAY, VERSIONS[1])
    first, second, third = schedule_recompute_versions(tenant, DAY, NEXT_DAY, VERSIONS)
    assert second == single and first.task_id == third.task_id != single.task_id
    assert schedule_recompute_versions(tenant, DAY, NEXT_DAY, VERSIONS) == [first, second, third]
    assert database.value("select count(*) from huey.job") == 2
    run_all()
    assert ends(database) == [(version, "succeeded", 1) for version in VERSIONS]
    alone: list[Run] = schedule_recompute_versions(tenant, DAY, NEXT_DAY, VERSIONS[:1])
    assert database.query("select task_name, task_id from huey.job") == [
        ("skeldir.attribution.recompute_window", alone[0].task_id)
    ]


def test_failed_job_fails_all_its_runs_and_its_replay_does_them(
    database: Database, tenant: UUID, run_all: RunAll
) -> None:
    database.query("alter table attribution_allocations add constraint full_disk check (converted_at < '2000-01-01')")
    schedule_recompute_versions(tenant, DAY, NEXT_DAY, VERSIONS)
    run_all()
    assert ends(database) == [(version, "failed", 0) for version in VERSIONS]
    assert database.value("select count(*) from attribution_allocations") == 0
    database.query("alter table attribution_allocations drop constraint full_disk")
    with transaction(tenant) as connection:
        dead_letters.replay(connection, database.value("select id from worker_failed_jobs"))
    assert ends(database) == [(version, "pending", 0) for version in VERSIONS]
    run_all()
    assert ends(database) == [(version, "succeeded", 1) for version in VERSIONS]


@pytest.mark.parametrize(
    ("versions", "field"),
    [
        ([], "model_versions"),
        ("linear@1.0.0", "model_versions"),
        ([VERSIONS[0], VERSIONS[0]], "model_versions"),
        ([VERSIONS[0], "linear@9"], "model_version"),
        ([VERSIONS[0], None], "model_version"),
    ],
)
def test_bad_input_names_the_field_and_writes_nothing(
    database: Database, tenant: UUID, versions: list[str], field: str
) -> None:
    with pytest.raises(InputError) as refused:
        schedule_recompute_versions(tenant, DAY, NEXT_DAY, versions)
    assert refused.value.field == field
    assert ends(database) == [] and database.value("select count(*) from huey.job") == 0
