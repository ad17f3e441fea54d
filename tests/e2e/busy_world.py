"""Seeds a database with a day of work, so that every page of the console has something to show."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from admin import create_app
from admin.reads.cron import known
from skeldir_huey.queue.cron import tick_id, tick_key
from skeldir_huey.queue.instance import huey
from skeldir_huey.tasks.housekeeping import ping
from tests.admin.world import MODEL, TRACEBACK, World, act, make_world, sign_in
from tests.cluster import Database
from tests.e2e import busy_letters

ATTEMPTS = """
insert into huey.job_attempt (task_id, task_name, lane, tenant_id, attempt, outcome, ended, worker, enqueued_at,
  claimed_at, ended_at, wait_ms, run_ms, error_class, error_message)
select gen_random_uuid()::text, 'skeldir.' || lane || '.task', lane, tenant, 1, outcome, outcome <> 'errored',
  'host:7:1', at - interval '2 seconds', at - interval '1 second', at, 1000 * random(), 4000 * random() * random(),
  case when outcome in ('dead', 'errored') then 'TimeoutError' end, null
from (
  select at,
    (array['attribution', 'attribution', 'ingest', 'maintenance', 'housekeeping'])[1 + floor(5 * random())] as lane,
    case when at between now() - interval '7 hours' and now() - interval '6 hours' and random() < 0.3 then 'dead'
         when random() < 0.04 then 'errored' when random() < 0.01 then 'dead' else 'done' end as outcome,
    (array[%(a)s, %(b)s]::uuid[])[1 + floor(2 * random())] as tenant
  from (select now() - interval '24 hours' * random() as at from generate_series(1, 9000)) moments) rows
"""

FLOWS = """
insert into huey.flow_total (lane, tenant_id, kind, job_count)
select lane, tenant_id, kind, sum(job_count) from (
  select lane, tenant_id, outcome as kind, 1 as job_count from huey.job_attempt where ended and worker = 'host:7:1'
  union all
  select lane, tenant_id, 'enqueued', 1 from huey.job_attempt where ended and worker = 'host:7:1') ends
group by lane, tenant_id, kind
"""

# Two hundred jobs that wait, most of one tenant, and one task that is paused.
WAITING = """
with added as (
  insert into huey.job (task_id, lane, task_name, tenant_id, message, state, run_at, rank, held)
  select gen_random_uuid()::text, 'attribution', task, tenant, '{}', 'waiting', now() - i * interval '2 seconds', i,
    task like '%%rebuild'
  from (select i, case when i %% 5 = 0 then %(b)s else %(a)s end::uuid as tenant,
          (array['skeldir.attribution.recompute_window', 'skeldir.attribution.rebuild'])[1 + (i %% 9) / 8] as task
          from generate_series(1, 200) i) rows
  returning lane, tenant_id)
insert into huey.flow (lane, tenant_id, kind, job_count)
select lane, tenant_id, 'enqueued', count(*) from added group by lane, tenant_id;
insert into huey.task_rule (lane, task_name, paused_at, paused_by, pause_reason, resume_at) values
  ('attribution', 'skeldir.attribution.rebuild', now() - interval '4 minutes', 'dana@example.com',
   'wrong model version was published', now() + interval '56 minutes')
"""

LETTERS = """
insert into worker_failed_jobs (tenant_id, task_id, task_name, queue, worker, task_kwargs, error_type, exception_class,
  error_message, traceback, fingerprint, retry_count, status, resolved_at, correlation_id, failed_at, message)
select (array[%(a)s, %(b)s, null]::uuid[])[1 + i %% 3], gen_random_uuid()::text,
  (array['skeldir.attribution.recompute_window', 'skeldir.ingest.file', 'skeldir.reports.refresh_all'])[1 + i %% 3],
  (array['attribution', 'ingest', 'maintenance'])[1 + i %% 3], 'worker-host:4711:' || i %% 4, %(kwargs)s,
  (array['timeout', 'permanent', 'transient'])[1 + i %% 3],
  (array['TimeoutError', 'InputError', 'OperationalError'])[1 + i %% 3],
  (array['canceling statement due to statement timeout after 30 s (window 11968)',
         'revenue_cents: expected an amount such as 12.50, got ''twelve'' (line 88123 of orders-2025-06-01.csv)',
         'server closed the connection unexpectedly'])[1 + i %% 3],
  %(traceback)s, (array['9f2c41d0', '41c7b2e9', 'be81a33f'])[1 + i %% 3], i %% 3, status,
  case when status = 'resolved' then now() end,
  gen_random_uuid(), now() - i * interval '7 minutes', '{}'
from (select i, (array['pending', 'pending', 'pending', 'resolved', 'abandoned'])[1 + i %% 5] as status
        from generate_series(1, 90) i) rows
"""

RUNS = """
insert into attribution_recompute_jobs (tenant_id, window_start, window_end, model_version, status, run_count, task_id,
  conversion_count, allocation_count, changed_count, checksum, error_message, created_at, started_at, finished_at)
select %(a)s, timestamptz '2025-05-01' + i * interval '1 day', timestamptz '2025-05-02' + i * interval '1 day',
  %(model)s, status, 1 + i %% 3, gen_random_uuid()::text, case when status = 'succeeded' then 160 + i end,
  case when status = 'succeeded' then 600 + 3 * i end, case when status = 'succeeded' then i end,
  case when status = 'succeeded' then sha256(i::text::bytea) end,
  case when status = 'failed' then 'canceling statement due to statement timeout' end,
  now() - i * interval '11 minutes', now() - i * interval '11 minutes',
  case when status in ('succeeded', 'failed') then now() - i * interval '11 minutes' + interval '2.4 seconds' end
from (select i, (array['succeeded', 'succeeded', 'succeeded', 'failed', 'running', 'pending'])[1 + i %% 6] as status
        from generate_series(1, 27) i) rows
"""

SALES = """
with sale as (
  insert into attribution_events (tenant_id, occurred_at, event_type, kind, journey_key, session_id, channel,
    revenue_cents, currency, idempotency_key)
  select %(a)s, timestamptz '2025-06-03' + i * interval '37 minutes', 'purchase', 'conversion', gen_random_uuid(),
    gen_random_uuid(), 'direct', 3000 + (i * 7919) %% 20000, 'USD', sha256(('sale' || i)::bytea)
  from generate_series(1, 400) i returning *),
split as (
  select s.*, p.channel as code, p.place from sale s cross join lateral (
    values ('email', 0), ('google_search_paid', 1), ('facebook_paid', 2), ('organic', 3)) as p(channel, place)
  where p.place <= abs(hashtext(s.id::text)) %% 4)
insert into attribution_allocations (tenant_id, event_id, model_version, channel_code, allocation_ratio,
  allocated_revenue_cents, currency, is_fallback, model_type, run_id, converted_at)
select tenant_id, id, %(model)s, code,
  case when place = 0 then 1 - round(1.0 / n, 10) * (n - 1) else round(1.0 / n, 10) end,
  revenue_cents / n + case when place < revenue_cents %% n then 1 else 0 end, currency, false, 'linear', %(run)s,
  occurred_at
from (select *, count(*) over (partition by id) as n from split) counted
"""

CONSUMERS = """
insert into huey.consumer (id, host, pid, worker_type, worker_count, lanes, version, heartbeat_at, started_at)
values (%(x)s, 'worker-host', 4711, 'thread', 4, '{housekeeping,maintenance,attribution,ingest}', '0.1.0',
        now() + interval '10 minutes', now() - interval '3 days'),
       (%(y)s, 'spare-host', 31, 'thread', 2, '{llm}', '0.1.0', now() - interval '2 minutes',
        now() - interval '3 hours')
"""

# Jobs that run: one of them near its timeout, one of a consumer that is silent. And ticks of the periodic tasks.
RUNNING = """
update huey.job set claimed_at = now() - interval '95 seconds', attempt = 2, message = %(message)s,
  consumer_id = case when tenant_id = %(a)s then %(x)s else %(y)s end::uuid
 where state = 'running';
insert into huey.tick (task_name, last_tick)
select name, now() + interval '10 minutes' from unnest(array['skeldir.reports.refresh_all',
  'skeldir.reports.refresh_realtime', 'skeldir.ledger.reconcile_daily', 'skeldir.attribution.recompute_dirty']) name;
insert into huey.job_attempt (task_id, task_name, lane, attempt, outcome, ended, worker, enqueued_at, claimed_at,
  ended_at, wait_ms, run_ms)
select gen_random_uuid()::text, 'skeldir.reports.refresh_realtime', 'maintenance', 1, 'done', true, 'host:7:1', at, at,
  at, 12, 200 + 150 * random()
from (select now() - i * interval '1 minute' as at from generate_series(1, 25) i) minutes
"""


def running_message() -> bytes:
    """Return the message of a job with a timeout of 110 seconds."""
    task = ping.s()
    task.timeout = 110
    message: bytes = huey.serialize_task(task)
    return message


def give_ticks(database: Database, name: str) -> None:
    """Let the attempts of a periodic task be those of its due minutes, each begun a little late."""
    minutes = database.query(
        "select id, date_trunc('minute', ended_at) from huey.job_attempt where task_name = %s and id %% 9 <> 4", (name,)
    )
    for row_id, at in minutes:
        key = tick_key(known()[name], name, at)
        database.query(
            "update huey.job_attempt set task_id = %s, claimed_at = %s::timestamptz + id %% 5 * interval '700 ms'"
            " where id = %s",
            (tick_id(key), at, row_id),
        )


def make_busy_world(database: Database) -> World:
    """Fill a fresh database with a day of work."""
    world = make_world(database)
    parameters: dict[str, Any] = {
        "a": str(world.a.tenant_id),
        "b": str(world.b.tenant_id),
        "model": MODEL,
        "run": str(world.a.run),
        "kwargs": json.dumps({"window_start": "2025-06-01T00:00:00Z", "window_end": "2025-06-02T00:00:00Z"}),
        "traceback": TRACEBACK,
        "message": running_message(),
        "x": str(uuid4()),
        "y": str(uuid4()),
    }
    database.query("select setseed(0.42)")
    for statement in (ATTEMPTS, FLOWS, WAITING, LETTERS, RUNS, SALES, CONSUMERS, RUNNING):
        database.query(statement, parameters)
    give_ticks(database, "skeldir.reports.refresh_realtime")
    database.query(
        "update huey.lane set paused_at = now() - interval '26 minutes', paused_by = 'dana@example.com',"
        " pause_reason = 'vacuum of the big table' where name = 'maintenance'"
    )
    for view in ("mv_channel_performance", "mv_allocation_summary"):
        database.query("select app.refresh_matview(%s)", [view])
    return world


def make_show(database: Database) -> World:
    """Fill a fresh database so that every page has rows, and act on three letters."""
    world = make_busy_world(database)
    busy_letters.fill(world)
    client = create_app().test_client()
    sign_in(client, world.admin)
    letters = database.query(
        "select id, tenant_id from worker_failed_jobs"
        " where status = 'pending' and tenant_id is not null and worker is not null limit 3"
    )
    for (letter, tenant), verb in zip(letters, ("replay", "abandon", "replay"), strict=True):
        act(client, letter, verb, tenant, reason="the import was repeated, see ticket 4711")
    return world
