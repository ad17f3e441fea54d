"""However often a run was tried before it succeeded, it ends with the SHA-256 of a run that succeeded at once.

Ten at once, overlapping, and kill -9 in the middle: tests/e2e/test_runs.py.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from skeldir_huey.attribution import runs
from skeldir_huey.db.engine import transaction
from skeldir_huey.queue import dead_letters
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.tasks.attribution import recompute_window
from tests.attribution.runner import NEXT_DAY, make_version, run_window
from tests.cluster import Database
from tests.factories import DAY, make_event, make_tenant
from tests.waiting import until

RunAll = Callable[[], int]
VERSION = "linear@1.0.0"


@pytest.fixture
def tenant(database: Database, huey: SkeldirHuey) -> UUID:
    tenant_id = make_tenant(database)
    for minute in range(10):
        visitor = uuid4()
        for number, channel in enumerate(("email", "direct", "organic")[: minute % 4]):
            make_event(database, tenant_id, kind="touch", visitor=visitor, minutes=number, channel=channel)
        sale = make_event(database, tenant_id, visitor=visitor, minutes=60 + minute, cents=minute * 1_001)
        if minute % 3 == 1:
            make_event(database, tenant_id, kind="adjustment", minutes=90, cents=-500, parent_event_id=str(sale))
    make_version(tenant_id, "linear", publish=True)
    return tenant_id


@pytest.fixture
def wanted(database: Database, tenant: UUID) -> bytes:
    """The checksum of three serial runs, which are forgotten again."""
    found = {run_window(tenant, VERSION).checksum for _ in range(3)}
    database.query("delete from attribution_allocations")
    database.query("delete from attribution_recompute_jobs")
    (digest,) = found
    assert digest is not None
    return digest


def ask(tenant: UUID, huey: SkeldirHuey, retries: int) -> None:
    task = recompute_window.s(
        tenant_id=tenant, window_start=DAY.isoformat(), window_end=NEXT_DAY.isoformat(), model_version=VERSION
    )
    task.retries, task.retry_delay = retries, 0.2
    with transaction(tenant) as connection:
        run, _ = runs.request(connection, runs.identify(tenant, DAY, NEXT_DAY, VERSION), uuid4())
        runs.assign(connection, tenant, run.id, huey.enqueue_in(connection, task))


def break_disk(database: Database) -> None:
    # Half of what the run writes fits: the rest is refused after it was written.
    database.query(
        "alter table attribution_allocations add constraint full_disk check (channel_code <> 'organic') not valid"
    )


def mend_disk(database: Database) -> None:
    database.query("alter table attribution_allocations drop constraint full_disk")


def ends(database: Database) -> list[tuple[object, ...]]:
    found = database.query("select status, run_count, checksum from attribution_recompute_jobs")
    return [(status, count, checksum and bytes(checksum)) for status, count, checksum in found]


def test_retry(database: Database, tenant: UUID, huey: SkeldirHuey, run_all: RunAll, wanted: bytes) -> None:
    break_disk(database)
    ask(tenant, huey, retries=2)
    assert run_all() >= 1
    assert database.value("select count(*) from attribution_allocations") == 0, "nothing of the first attempt stayed"
    mend_disk(database)

    def succeeded() -> bool:
        database.query("update huey.job set state = 'waiting' where run_at <= now()")  # as the scheduler does
        run_all()
        return ends(database)[0][0] == "succeeded"

    until(succeeded, 30)
    assert ends(database) == [("succeeded", 1, wanted)]
    assert (
        database.value("select max(attempt) from huey.job_attempt where ended and task_name like '%recompute_window'")
        > 1
    )


def test_replay(database: Database, tenant: UUID, huey: SkeldirHuey, run_all: RunAll, wanted: bytes) -> None:
    break_disk(database)
    ask(tenant, huey, retries=0)
    run_all()
    assert ends(database) == [("failed", 0, None)]
    mend_disk(database)
    letter = database.value("select id::text from worker_failed_jobs")
    with transaction(tenant) as connection:
        dead_letters.replay(connection, UUID(letter))
    run_all()
    assert ends(database) == [("succeeded", 1, wanted)]
