"""The demo's data: three tenants, 5,000 events, allocated; a second call adds nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from skeldir_huey import demo_data
from skeldir_huey.main import huey as instance
from skeldir_huey.queue.executor import SkeldirHuey
from tests.cluster import Database


@pytest.fixture
def huey(database: Database) -> Iterator[SkeldirHuey]:
    instance.storage.new_identity()
    yield instance
    instance.close_process()
    instance.storage.close()


def counts(database: Database) -> list[tuple[object, ...]]:
    return database.query(
        "select t.name, count(*), count(*) filter (where kind = 'conversion'), min(currency), max(currency),"
        " max(occurred_at) < date_trunc('day', now(), 'UTC'),"
        " min(occurred_at) >= date_trunc('day', now(), 'UTC') - interval '30 days'"
        " from attribution_events e join tenants t on t.id = e.tenant_id group by 1 order by 1"
    )


def test_seed_is_complete_and_the_second_adds_nothing(database: Database, huey: SkeldirHuey) -> None:
    lines: list[str] = []
    demo_data.seed(lines.append)
    first = counts(database)
    assert [(row[0], row[1]) for row in first] == [
        ("aurora-outfitters", 2200), ("birch-and-co", 1700), ("cobalt-travel", 1100)
    ]  # fmt: skip
    assert all(row[2] > 100 and row[3] == row[4] and row[5] and row[6] for row in first)  # type: ignore[operator]
    assert lines[0] == "demo: aurora-outfitters has 2,200 new events of 2,200"
    assert database.value("select count(*) from huey.job") == 6

    while (data := huey.storage.dequeue()) is not None:
        task = huey.task_of(data)
        assert task is not None
        huey.execute(task)
    runs = database.query("select model_version, status, run_count from attribution_recompute_jobs order by 1")
    assert runs == [("even_split@1.0.0", "succeeded", 1)] * 3 + [("linear@1.0.0", "succeeded", 1)] * 3
    assert database.value("select count(*) from attribution_dirty_ranges") == 0
    assert database.value("select count(*) from mv_channel_performance") > 100
    sums = "select sum(revenue_cents) from attribution_events where kind = 'conversion'"
    assert database.value(f"select sum(allocated_revenue_cents) = 2 * ({sums}) from attribution_allocations")
    assert database.value("select count(*) from attribution_allocations where is_fallback") > 0

    demo_data.seed()
    assert counts(database) == first
    assert database.value("select count(*) from huey.job") == 0
    assert database.value("select count(*) from attribution_models") == 6
