"""What operators and upkeep leave behind: audit rows, refused records, bulk operations, refreshes, reconciliations."""

from __future__ import annotations

# How many of each there are per allocation; %(first)s to %(last)s number them.
AUDIT = """
insert into console_audit (tenant_id, at, actor, source_address, action, target_type, target_id, reason, result, detail)
select case when i %% 10 > 0 then md5('tenant' || 1 + i %% $tenants)::uuid end, now() - interval '7 minutes' * i,
  'operator-' || i %% 5 || '@example.com', '127.0.0.1', (array['replay', 'abandon', 'pause', 'sign_in'])[1 + i %% 4],
  'dead_letter', coalesce((select id::text from worker_failed_jobs where task_id = 'letter-' || i), 'none'),
  'the cause is mended, number ' || i, case when i %% 9 = 0 then 'refused' else 'done' end,
  jsonb_build_object('task_id', 'attempt-' || i)
  from generate_series(%(first)s::bigint, %(last)s::bigint) i;
"""
REFUSED = """
insert into dead_events (tenant_id, source, line, idempotency_key, payload, error_type, error_field, error_message,
  remediation_status, created_at, reading)
select md5('tenant' || 1 + i %% $tenants)::uuid, 'orders-' || i / 1000 || '.csv', i %% 1000,
  sha256(('refused' || i)::bytea), jsonb_build_object('amount', 'much', 'row', i), 'permanent', 'amount',
  'expected an amount, row ' || i, (array['pending', 'pending', 'resolved', 'ignored'])[1 + i %% 4],
  now() - interval '1 minute' * i, '{}'
  from generate_series(%(first)s::bigint, %(last)s::bigint) i;
"""
REFRESHES = """
insert into matview_refresh (view_name, started_at, ended_at, row_count, outcome, asked_by)
select (array['allocation_days', 'revenue_days', 'mv_channel_performance', 'mv_allocation_summary',
              'mv_daily_revenue_summary', 'mv_realtime_revenue', 'mv_reconciliation_status'])[1 + i %% 7],
  now() - interval '10 seconds' * i, now() - interval '10 seconds' * i + interval '1 second', i,
  (array['refreshed', 'unchanged'])[1 + i %% 3 / 2], 'schedule'
  from generate_series(%(first)s::bigint, %(last)s::bigint) i;
"""
BULK = """
insert into huey.bulk_operation (id, tenant_id, verb, state, filter, drafted_at, cutoff_at, cutoff_id, item_count,
  shares, reason, created_by, created_at, confirmed_by, confirmed_at, ended_at)
select md5('bulk' || i)::uuid, null, (array['replay', 'abandon'])[1 + i %% 2], 'done', '{"status": "pending"}', at, at,
  md5('cut' || i)::uuid, 100 * $tenants, '[]', 'the bank answers again', 'operator-1@example.com', at,
  'operator-1@example.com', at, at + interval '1 minute'
  from (select i, now() - interval '1 hour' * i as at
          from generate_series(%(first)s::bigint, %(last)s::bigint) i) made;
insert into huey.bulk_share (operation_id, tenant_id, item_count, done_count, failed_count, skipped, ended_at)
select md5('bulk' || i)::uuid, md5('tenant' || t)::uuid, 100, 90, 3, '{"already replayed": 7}', now()
  from generate_series(%(first)s::bigint, %(last)s::bigint) i cross join generate_series(1, $tenants) t;
insert into huey.bulk_item (operation_id, tenant_id, letter_id, result, detail)
select md5('bulk' || i)::uuid, md5('tenant' || 1 + n %% $tenants)::uuid, md5('item' || i || '-' || n)::uuid,
  case when n %% 30 = 0 then 'failed' else 'done' end, case when n %% 30 = 0 then 'task no longer exists' end
  from generate_series(%(first)s::bigint, %(last)s::bigint) i cross join generate_series(1, 300) n;
"""
SHARES = ((AUDIT, 1 / 75), (REFUSED, 1 / 15), (REFRESHES, 1 / 15), (BULK, 1 / 5000))

# What there is whatever the scale: reconciliations of 90 days, backfills, rules, ticks and runs of periodic tasks.
ALWAYS = """
insert into reconciliation_runs (tenant_id, id, window_start, window_end, order_count, ghost_count, unallocated_count,
  under_allocated_count, over_allocated_count, without_order_count, waiting_count, created_at)
select md5('tenant' || t)::uuid, md5('reconciled' || t || '-' || d)::uuid, now() - interval '1 day' * (d + 30),
  now() - interval '1 day' * d, 200, t %% 2, 0, 0, 0, 0, 0, now() - interval '1 day' * d
  from generate_series(1, $tenants) t cross join generate_series(1, 90) d;
insert into reconciliation_orders (tenant_id, reconciliation_id, order_id, currency, claimed_cents, verified_cents,
  allocated_cents, ghost_cents, discrepancy_bp, allocation_state)
select md5('tenant' || t)::uuid, md5('reconciled' || t || '-1')::uuid, 'order-' || n, 'USD', 1000 + (n = 1)::int, 1000,
  1000, (n = 1)::int, 0, 'matched'
  from generate_series(1, $tenants) t cross join generate_series(1, 200) n;
insert into backfills (tenant_id, model_version, range_start, range_end, done_until, status, correlation_id,
  created_at, finished_at)
select md5('tenant' || 1 + i %% $tenants)::uuid, 'linear@1.0.0', now() - interval '30 days', now(), now(), 'succeeded',
  gen_random_uuid(), now() - interval '1 day' * i, now() from generate_series(1, 40) i;
insert into huey.tenant_rule (tenant_id, lane, weight, cap) select id, 'attribution', 2, 8 from tenants;
insert into huey.tick (task_name, last_tick) select name, date_trunc('minute', now()) from unnest(%(periodic)s) name;
insert into huey.job_attempt (task_id, task_name, lane, attempt, outcome, ended, worker, enqueued_at, claimed_at,
  ended_at, wait_ms, run_ms)
select md5('tick' || n || '-' || name), name, 'maintenance', 1, 'done', true, 'host:1:1', at, at, at, 12, 340
  from unnest(%(periodic)s) with ordinality as task(name, n) cross join generate_series(1, 288) i,
       lateral (select now() - i * interval '5 minutes' as at) moment;
"""
