"""Lists on 100,000 analysed rows: each walks down its index and stops after a page, however deep the page is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from skeldir_huey.db import engine
from tests.admin.world import MODEL, World, make_world, sign_in, start_console
from tests.cluster import Cluster, Database
from tests.conftest import copy_of_template, point_at

ROWS = 100_000

# Rows of each list, spread over time; what triggers count and chain is not what is looked at here.
SEED = f"""
set session_replication_role = replica;
insert into worker_failed_jobs (tenant_id, task_id, task_name, queue, error_type, fingerprint, message, status,
  task_kwargs, failed_at, traceback)
select %(tenant)s, 't' || i, 'skeldir.housekeeping.ping', 'ingest', 'permanent', lpad(to_hex(i %% 40), 8, '0'), '{{}}',
  case when i %% 20 = 7 then 'pending' else 'abandoned' end, jsonb_build_object('number', i),
  now() - i * interval '3 seconds', repeat(md5(i::text), 30)
  from generate_series(1, {ROWS}) i;
insert into huey.job_attempt (task_id, task_name, lane, tenant_id, attempt, outcome, ended, enqueued_at, ended_at)
select 'a' || i, 'skeldir.housekeeping.ping', 'ingest', %(tenant)s, 1,
  case when i %% 2000 = 0 then 'cancelled' when i %% 50 = 0 then 'dead' else 'done' end, true,
  now(), now() - i * interval '3 seconds' from generate_series(1, {ROWS}) i;
insert into huey.job (task_id, lane, task_name, tenant_id, message, state, run_at, rank)
select 'j' || i, 'ingest', 'skeldir.housekeeping.ping', %(tenant)s, '{{}}',
  (array['waiting', 'scheduled'])[1 + i %% 2], now(), i from generate_series(1, {ROWS}) i;
insert into dead_events (tenant_id, source, line, idempotency_key, payload, error_type, error_message,
  remediation_status, created_at)
select %(tenant)s, 'f.csv', i, sha256(i::text::bytea), '{{}}', 'permanent', 'x',
  case when i %% 20 = 0 then 'pending' else 'ignored' end, now() - i * interval '3 seconds'
  from generate_series(1, {ROWS}) i;
insert into attribution_recompute_jobs (tenant_id, window_start, window_end, model_version, status, created_at)
select %(tenant)s, at, at + interval '1 minute', '{MODEL}',
  case when i %% 2000 = 0 then 'failed' else 'succeeded' end, now() - i * interval '3 seconds'
  from (select i, timestamptz '2024-01-01Z' + i * interval '1 minute' as at from generate_series(1, {ROWS}) i) made;
insert into console_audit (tenant_id, at, actor, action, target_type, target_id, result, chain_no, prev_hash, hash)
select %(tenant)s, now() - i * interval '3 seconds', 'o' || i %% 50, 'v' || i %% 50, 'dead_letter', 'x', 'done',
  {ROWS} + i, '', sha256(i::text::bytea) from generate_series(1, {ROWS}) i;
insert into matview_refresh (view_name, started_at, ended_at, outcome, asked_by)
select (array['allocation_days', 'revenue_days'])[1 + i %% 2], at, at, 'refreshed', 'schedule'
  from (select i, now() - i * interval '3 seconds' as at from generate_series(1, {ROWS}) i) made;
insert into attribution_allocations (tenant_id, event_id, model_version, channel_code, allocation_ratio,
  allocated_revenue_cents, currency, is_fallback, model_type, run_id, converted_at)
select %(tenant)s, gen_random_uuid(), '{MODEL}', 'email', 1, 100, 'USD', false, 'linear', gen_random_uuid(),
  timestamptz '2025-06-08Z' - i * interval '6 seconds' from generate_series(1, {ROWS}) i;
analyze;
"""

EVENTS = "/admin/allocations/events?channel=email&start=2025-06-01&end=2025-06-07&tenant={tenant}"
# What is asked for, its table, and the index that must lead there.
LISTS = {
    "letters": ("/admin/dead/jobs/?status=any", "worker_failed_jobs", "worker_failed_jobs_all"),
    "letters that wait": ("/admin/dead/jobs/", "worker_failed_jobs", "worker_failed_jobs_status"),
    "letters, deep": (
        "/admin/dead/jobs/?after={day}~00000000-0000-0000-0000-000000000000",
        "worker_failed_jobs",
        "worker_failed_jobs_status",
    ),
    "letters of an error": ("/admin/dead/jobs/?fp=00000007", "worker_failed_jobs", "worker_failed_jobs_fingerprint"),
    "letters of a tenant": (
        "/admin/dead/jobs/?status=any&tenant={tenant}",
        "worker_failed_jobs",
        "worker_failed_jobs_recent or worker_failed_jobs_all",  # the latter while the tenant has a good share of all
    ),
    "letters by argument": ("/admin/search/?q=args.number:77", "worker_failed_jobs", "worker_failed_jobs_args"),
    "jobs in line": ("/admin/jobs/?state=waiting", "huey.job", "job_pkey"),
    "jobs done": ("/admin/jobs/?state=done", "huey.job_attempt", "job_attempt_pkey"),
    "jobs dead": ("/admin/jobs/?state=dead", "huey.job_attempt", "job_attempt_outcome"),
    "jobs cancelled": ("/admin/jobs/?state=cancelled", "huey.job_attempt", "job_attempt_outcome"),
    "refused": ("/admin/refused/", "dead_events", "dead_events_status"),
    "refused, all": ("/admin/refused/?status=any", "dead_events", "dead_events_all"),
    "runs": ("/admin/recompute/", "attribution_recompute_jobs", "attribution_recompute_jobs_all"),
    "runs that failed": (
        "/admin/recompute/?status=failed",
        "attribution_recompute_jobs",
        "attribution_recompute_jobs_status",
    ),
    "audit": ("/admin/audit/", "console_audit", "console_audit_time"),
    "audit of a person": ("/admin/audit/?who=o7", "console_audit", "console_audit_actor"),
    "audit of a verb": ("/admin/audit/?action=v7", "console_audit", "console_audit_action"),
    "refreshes": ("/admin/matviews/allocation_days/", "matview_refresh", "matview_refresh_recent"),
    "events of a channel": (EVENTS, "attribution_allocations", "attribution_allocations_time"),
}


@pytest.fixture(scope="module")
def world(cluster: Cluster) -> Iterator[World]:
    with copy_of_template(cluster) as database, pytest.MonkeyPatch.context() as patch:
        point_at(database, patch)
        made = make_world(database)
        database.query(SEED, {"tenant": str(made.a.tenant_id)})
        yield made
        engine.dispose()


@pytest.fixture(scope="module")
def client(world: World) -> FlaskClient:
    made = start_console().test_client()
    assert sign_in(made, world.admin).status_code == 302
    return made


@contextmanager
def plans_of(table: str) -> Iterator[list[dict[str, Any]]]:
    """Collect the plan of each statement of the console that reads a page of a table, before it is executed."""
    found: list[dict[str, Any]] = []

    def note(_: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if f"FROM {table}" in statement and "ORDER BY" in statement and "LIMIT" in statement:
            cursor.execute(f"explain (analyze, format json) {statement}", parameters)
            found.append(cursor.fetchone()[0][0]["Plan"])

    login = engine.engine("console")
    sa.event.listen(login, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(login, "before_cursor_execute", note)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def whole_indexes(database: Database) -> dict[str, str]:
    """Return, for the index of each partition, the name of the whole table's index."""
    return dict(
        database.query(
            "select inhrelid::regclass::text, split_part(inhparent::regclass::text, '.', 2) from pg_inherits"
        )
    )


@pytest.mark.parametrize("name", LISTS)
def test_a_list_walks_down_its_index(world: World, client: FlaskClient, name: str) -> None:
    path, table, index = LISTS[name]
    day = world.database.value("select to_char(now() - interval '2 days', 'YYYY-MM-DD\"T\"HH24:MI:SS')")
    with plans_of(table) as plans:
        response = client.get(path.format(tenant=world.a.tenant_id, day=day))
    assert response.status_code == 200 and plans, response.get_data(as_text=True)[:300]
    parents = whole_indexes(world.database)
    used: set[str] = set()
    for plan in plans:
        used |= {node["Index Name"] for node in nodes(plan) if "Index Name" in node}
        scans = [node for node in nodes(plan) if node.get("Relation Name") == table.rpartition(".")[2]]
        read = [node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in scans]
        said = json.dumps([{k: v for k, v in node.items() if k != "Plans"} for node in nodes(plan)], indent=1)[:3000]
        # A page and the row after it; not the list.
        assert sum(read) <= 200, (read, said)
    assert {parents.get(f"huey.{one}", one) for one in used} & set(index.split(" or ")), used
