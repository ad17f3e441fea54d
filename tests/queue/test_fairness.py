"""Fairness: tenants share a lane by weight, and a backlog of one does not hold back another's single job."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from uuid import UUID

import pytest

from skeldir_huey.db.engine import transaction
from skeldir_huey.queue import control
from skeldir_huey.queue.claims import Claim, ClaimedMessage
from skeldir_huey.queue.executor import SkeldirHuey
from tests import work
from tests.cluster import Database
from tests.factories import make_tenant
from tests.waiting import until

BACKLOG = 10_000


@pytest.fixture
def tenants(database: Database, huey: SkeldirHuey) -> tuple[UUID, UUID]:
    return make_tenant(database, "a-tenant"), make_tenant(database, "b-tenant")


def enqueue(huey: SkeldirHuey, tenant: UUID, count: int, **options: object) -> None:
    huey.enqueue_many(work.effect.s("x", tenant_id=tenant, **options) for _ in range(count))


def take(huey: SkeldirHuey, total: int) -> list[Claim]:
    """Claim and end jobs, as a consumer that is busy does; returns them in order."""
    claims = huey.storage.claim(uuid.uuid4(), total, ["ingest"])
    for claim in claims:
        huey.storage.run("delete from huey.job where id = %(id)s", {"id": claim.id})
    return claims


def test_a_single_job_waits_for_one_job_of_the_backlog_only(huey: SkeldirHuey, tenants: tuple[UUID, UUID]) -> None:
    a, b = tenants
    enqueue(huey, a, BACKLOG)
    take(huey, 10)
    enqueue(huey, b, 1)
    following = [claim.tenant_id for claim in take(huey, 5)]
    assert b in following[:2], "b starts after what was claimed plus one further job"


def test_jobs_falling_due_at_one_instant_change_nothing(
    database: Database, huey: SkeldirHuey, tenants: tuple[UUID, UUID]
) -> None:
    a, b = tenants
    enqueue(huey, a, BACKLOG, delay=60)
    enqueue(huey, b, 1)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=2)
    while huey.storage.run(work.promote, {"now": later}):
        pass  # at most 5,000 in one statement
    assert database.value("select count(*) from huey.job where state = 'waiting'") == BACKLOG + 1
    assert b in [claim.tenant_id for claim in take(huey, 2)]


def test_a_running_consumer_starts_the_single_job_after_what_it_has_claimed(
    database: Database, huey: SkeldirHuey, tenants: tuple[UUID, UUID]
) -> None:
    """The same with a real desk and its growing batches: in the history at most one job of a lies between."""
    a, b = tenants
    huey.enqueue_many(work.effect.s("x", tenant_id=a) for _ in range(BACKLOG))
    huey.open_process({"worker_type": "thread", "worker_count": 1})
    desk = huey.desk
    assert desk is not None
    until(lambda: desk.may_claim, 30)

    def run_one() -> UUID:
        claim = until(lambda: desk.take(0.5), 30)
        assert claim is not None and claim.tenant_id is not None
        huey.execute(huey.task_of(ClaimedMessage.of(claim)))
        return claim.tenant_id

    for _ in range(300):
        assert run_one() == a
    work.effect("single", tenant_id=b)
    claimed = int(database.value("select count(*) from huey.job where state = 'running'"))
    order = [run_one() for _ in range(claimed + 2)]
    assert b in order, f"{claimed} were claimed already; then came {order.count(a)} of a and none of b"


def test_weights_are_shares_while_both_wait(huey: SkeldirHuey, tenants: tuple[UUID, UUID]) -> None:
    a, b = tenants
    with transaction(a, role="app_rw") as connection:
        control.set_share(connection, "ingest", a, weight=3)
    enqueue(huey, a, 3_200)
    enqueue(huey, b, 1_200)
    shares = Counter(claim.tenant_id for _ in range(80) for claim in take(huey, 50))
    assert shares.total() == 4_000
    assert shares[a] / shares[b] == pytest.approx(3, rel=0.05)


def test_all_capacity_goes_to_whoever_has_work(huey: SkeldirHuey, tenants: tuple[UUID, UUID]) -> None:
    a, b = tenants
    enqueue(huey, b, 200)
    assert len(take(huey, 200)) == 200, "nobody else waits: b gets everything"
    enqueue(huey, a, 100)
    enqueue(huey, b, 100)
    first = Counter(claim.tenant_id for claim in take(huey, 40))
    assert abs(first[a] - first[b]) <= 2, "b does not pay for what it got while nobody waited"


def test_priority_goes_before_rank(huey: SkeldirHuey, tenants: tuple[UUID, UUID]) -> None:
    a, b = tenants
    enqueue(huey, a, 50)
    huey.enqueue_many([work.effect.s("urgent", tenant_id=b, priority=5)])
    assert take(huey, 1)[0].tenant_id == b
