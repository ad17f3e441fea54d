"""What is counted, under which labels, and what the tables say at a scrape: cheaply, and absent rather than old."""

from __future__ import annotations

import json
import multiprocessing
import re
from collections.abc import Iterator
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from skeldir_huey import metrics
from skeldir_huey.clock import utc_now
from skeldir_huey.db.engine import transaction
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.ingest.store import count_events
from skeldir_huey.metrics import OTHER, TABLE, Store
from skeldir_huey.observability.database import STATEMENTS, DatabaseMetrics
from skeldir_huey.observability.relay import Relay
from tests.cluster import Database
from tests.conftest import ROOT
from tests.factories import make_letter, make_tenant
from tests.waiting import until

DOCS = ROOT / "docs/operations.md"


def scraped(collector: object) -> dict[str, float]:
    """Return the samples of one collector by name and labels."""
    registry = CollectorRegistry()
    registry.register(collector)  # type: ignore[arg-type]
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.fixture
def from_tables(database: Database) -> DatabaseMetrics:
    return DatabaseMetrics(lambda: database.dsn("app_user"), lambda: ("test.minutely",))


@pytest.fixture
def names() -> Iterator[None]:
    metrics.allow("task_name", {"test.known"})
    yield


def test_the_table_is_the_documented_one() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", DOCS.read_text(), re.M)
    shown = [
        (
            f"{row.name}_total" if row.type == "counter" else row.name,
            row.type,
            ", ".join(row.labels),
            row.unit,
            row.scope,
        )
        for row in TABLE
    ]
    assert [row[:5] for row in rows] == shown
    assert [row[5] for row in rows] == [row.help for row in TABLE]


def test_names_and_labels_are_bounded() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE)
    for row in TABLE:
        assert re.fullmatch(r"(huey|skeldir)_[a-z_]+", row.name)
        assert not {"tenant", "tenant_id", "task_id", "path"} & set(row.labels), "a label without an end"


def test_an_unknown_task_or_lane_is_other(names: None) -> None:
    store = Store()
    now = utc_now()
    for name, lane in (("test.known", "ingest"), ("made up 1", "no lane"), ("made up 2", str(uuid4()))):
        store.begun.append((name, SimpleNamespace(claimed_at=now, run_at=now, enqueued_at=now, lane=lane)))
    found = scraped(store)
    assert found['huey_task_started_total{task_name="test.known"}'] == 1
    assert found[f'huey_task_started_total{{task_name="{OTHER}"}}'] == 2
    assert found[f'huey_task_wait_seconds_count{{lane="{OTHER}"}}'] == 2
    assert not [line for line in found if "made up" in line]


def test_sums_are_those_of_what_was_noted(names: None) -> None:
    store = Store()
    for seconds in (0.2, 0.3, 700):
        store.ended.append(("huey_task_success", "test.known", seconds))
    store.ended.append(("huey_task_failure", "test.known", 0.01))
    store.count("huey_jobs_rescued", (), 3)
    found = scraped(store)
    assert found['huey_task_success_total{task_name="test.known"}'] == 3
    assert found['huey_task_failure_total{task_name="test.known"}'] == 1
    assert found['huey_task_duration_seconds_sum{task_name="test.known"}'] == pytest.approx(700.51)
    bucket = 'huey_task_duration_seconds_bucket{{le="{}",task_name="test.known"}}'
    assert [found[bucket.format(le)] for le in ("0.01", "0.25", "0.5", "600.0", "+Inf")] == [1, 2, 3, 3, 4]
    assert found["huey_jobs_rescued_total"] == 3
    assert found["huey_jobs_fenced_total"] == 0, "a counter is there before its first event"
    assert scraped(store) == found, "a scrape takes nothing away"


def test_what_one_store_gives_another_has(names: None) -> None:
    child, parent = Store(), Store()
    for seconds in (0.2, 5):
        child.ended.append(("huey_task_success", "test.known", seconds))
    for _ in range(2):  # the second time there is nothing left to give
        for delta in child.take():
            parent.add(*json.loads(json.dumps(delta)))
    child.ended.append(("huey_task_success", "test.known", 5))
    for delta in child.take():
        parent.add(*delta)
    found = scraped(parent)
    assert found['huey_task_success_total{task_name="test.known"}'] == 3
    assert found['huey_task_duration_seconds_bucket{le="1.0",task_name="test.known"}'] == 1
    assert found['huey_task_duration_seconds_count{task_name="test.known"}'] == 3


def test_a_child_that_ends_well_has_sent_everything(names: None, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Store()
    monkeypatch.setattr(metrics, "store", mine)
    mine.count("huey_task_retry", ("test.known",), 5)
    relay = Relay(lambda: 1)

    def count() -> None:
        for number in range(200):
            metrics.allow("task_name", {f"test.{number}"})
            metrics.count("huey_task_retry", f"test.{number}")
        metrics.count("huey_task_retry", "test.known")

    metrics.allow("task_name", {f"test.{number}" for number in range(200)})
    child = multiprocessing.get_context("fork").Process(target=count)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    # What the parent had counted itself is counted once: the child began at nothing.
    until(lambda: scraped(mine)['huey_task_retry_total{task_name="test.known"}'] == 6, 30)
    assert scraped(mine)['huey_task_retry_total{task_name="test.199"}'] == 1
    assert relay.heard_of(child.pid or 0)[1] is True


def test_what_the_tables_say(database: Database, from_tables: DatabaseMetrics) -> None:
    tenant = make_tenant(database, "alpha")
    add_jobs(database, 30, tenant)
    make_letter(database, tenant)
    make_letter(database, None)
    database.query("update huey.lane set paused_at = now(), paused_by = 'me' where name = 'llm'")
    database.query(
        "insert into huey.tick values ('test.minutely', now() - interval '5 minutes'), ('gone', '2001-01-01')"
    )
    database.query(
        "insert into huey.consumer (id, host, pid, worker_type, worker_count, lanes, version, holds_lock)"
        " select gen_random_uuid(), 'h', n, 'thread', 1, '{ingest}', '1', n = 1 from generate_series(1, 2) n"
    )
    found = scraped(from_tables)
    assert found["skeldir_database_read"] == 1
    assert [found[f'huey_queue_depth{{lane="{lane}"}}'] for lane in ("ingest", "llm", "housekeeping")] == [15, 15, 0]
    assert [found[f'huey_queue_running{{lane="{lane}"}}'] for lane in ("ingest", "llm")] == [1, 0]
    assert found['huey_queue_oldest_seconds{lane="ingest"}'] == pytest.approx(3600, abs=60)
    assert found['huey_queue_oldest_seconds{lane="housekeeping"}'] == 0
    assert (found['huey_lane_paused{lane="llm"}'], found['huey_lane_paused{lane="ingest"}']) == (1, 0)
    assert found["huey_dead_letters_open"] == 2, "of all tenants, and of none"
    assert found["huey_tick_lag_seconds"] == pytest.approx(240, abs=10), "of the tasks that are known here"
    assert (found["huey_consumers"], found["huey_notify_available"]) == (2, 0)


def test_imports_are_counted_whoever_made_them(database: Database, from_tables: DatabaseMetrics) -> None:
    tenant = make_tenant(database, "alpha")
    for counts in ((5, 0, 1), (0, 6, 0), (1, 1, 1)):
        with transaction(tenant, role="app_import") as connection:
            count_events(connection, *counts)
    found = scraped(from_tables)
    assert [
        found[f'skeldir_ingest_events_total{{outcome="{outcome}"}}'] for outcome in ("accepted", "duplicate", "refused")
    ] == [6, 7, 2]


def test_a_locked_table_costs_its_own_numbers_only(database: Database, from_tables: DatabaseMetrics) -> None:
    database.query("revoke select on huey.tick from app_rw")
    found = scraped(from_tables)
    assert found["skeldir_database_read"] == 0
    assert "huey_tick_lag_seconds" not in found and "huey_dead_letters_open" in found


def test_many_scrapes_ask_once(database: Database) -> None:
    asked: list[str] = []

    def dsn() -> str:
        asked.append("asked")
        return database.dsn("app_user")

    collector = DatabaseMetrics(dsn)
    first = scraped(collector)
    assert [scraped(collector) for _ in range(20)] == [first] * 20
    assert len(asked) == 1


def test_numbers_of_the_queue_are_cheap_at_any_size(database: Database) -> None:
    for name in ("alpha", "beta"):
        add_jobs(database, 50_000, make_tenant(database, name))
    database.query("analyze huey.job")
    database.query("analyze huey.flow")
    connection = database.connect("app_user")
    with connection.cursor() as cursor:
        cursor.execute("set role app_rw")
        cursor.execute(f"explain (analyze, format json) {sql('observability', 'watch_lanes')}")
        plan = cursor.fetchone()[0][0]["Plan"]
    connection.close()
    looked_at = [(node["Node Type"], node.get("Index Name"), rows_read(node)) for node in nodes(plan) if of_jobs(node)]
    assert {index for _, index, _ in looked_at} >= {"job_share", "job_running"}, looked_at
    assert not [kind for kind, *_ in looked_at if kind.endswith("Seq Scan")]
    assert sum(count for _, _, count in looked_at) < 100, looked_at


def add_jobs(database: Database, number: int, tenant: UUID) -> None:
    """Add waiting jobs to two lanes, the first an hour old, and one running; the ledger knows of them."""
    database.query(
        """
        insert into huey.job (task_id, lane, task_name, tenant_id, message, state, rank, enqueued_at, run_at,
                              claim_token, consumer_id)
        select 't' || %(tenant)s || n, (array['ingest', 'llm'])[1 + n %% 2], 'test.known', %(tenant)s, '',
               case n when 2 then 'running' else 'waiting' end, n, now() - interval '1 hour' + n * interval '1 ms',
               now() - interval '1 hour' + n * interval '1 ms',
               case n when 2 then gen_random_uuid() end, case n when 2 then gen_random_uuid() end
          from generate_series(1, %(number)s) n
        """,
        {"tenant": str(tenant), "number": number},
    )
    database.query(
        "insert into huey.flow (lane, tenant_id, kind, job_count)"
        " select lane, %(tenant)s, 'enqueued', %(number)s / 2 from unnest(array['ingest', 'llm']) lane",
        {"tenant": str(tenant), "number": number},
    )


def nodes(plan: dict) -> Iterator[dict]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def of_jobs(node: dict) -> bool:
    return node.get("Relation Name") == "job" or node.get("Index Name", "").startswith("job_")


def rows_read(node: dict) -> float:
    return (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]


def test_every_statement_names_metrics_of_the_table() -> None:
    of_database = {row.name for row in TABLE if row.scope == "database"}
    assert {name for metrics_of_one in STATEMENTS.values() for name in metrics_of_one} == of_database
