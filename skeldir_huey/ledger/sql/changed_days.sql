-- The UTC days, before a given one and not behind retention's boundary, whose orders changed since the last night: they were paid or claimed, or allocations of theirs were written. Of an order that is seen earlier than it was, both days. By indexes reconciliation_runs_recent, revenue_ledger_added, platform_claims_added, attribution_allocations_time, and those by order.
with since as materialized (
  -- An hour more: a transaction that was open then shows its rows only afterwards.
  select coalesce((select created_at from reconciliation_runs
                    where tenant_id = %(tenant_id)s and reason = 'nightly'
                    order by created_at desc, id desc limit 1), '-infinity') - interval '1 hour' as at
),
runs as materialized (
  select r.id, r.model_version, r.window_start, r.window_end
    from attribution_published p
    join attribution_recompute_jobs r on r.tenant_id = p.tenant_id and r.model_version = p.model_version
   where p.tenant_id = %(tenant_id)s and r.finished_at >= (select at from since)
),
-- One look at their times, however many runs there were; a row names the run that wrote it last.
allocated as (
  select distinct a.event_id
    from attribution_allocations a
   where a.tenant_id = %(tenant_id)s and a.model_version = (select min(model_version) from runs)
     and a.converted_at >= (select min(window_start) from runs)
     and a.converted_at < (select max(window_end) from runs)
     and a.run_id in (select id from runs)
),
sold as materialized (
  select coalesce(s.order_id, e.order_id) as order_id, coalesce(s.occurred_at, e.occurred_at) as occurred_at
    from allocated a
    join attribution_events e on e.tenant_id = %(tenant_id)s and e.id = a.event_id
    left join attribution_events s on s.tenant_id = %(tenant_id)s and s.id = e.parent_event_id
),
fresh as (
  select order_id from revenue_ledger where tenant_id = %(tenant_id)s and created_at >= (select at from since)
   union
  select order_id from platform_claims where tenant_id = %(tenant_id)s and created_at >= (select at from since)
   union
  select order_id from sold where order_id is not null
),
firsts as (
  select f.first_at, f.first_before
    from fresh
   cross join lateral (
     select min(o.occurred_at) as first_at,
            min(o.occurred_at) filter (where o.stored_at < (select at from since)) as first_before
       from (select occurred_at, created_at as stored_at from revenue_ledger
              where tenant_id = %(tenant_id)s and order_id = fresh.order_id
              union all
             select occurred_at, created_at from platform_claims
              where tenant_id = %(tenant_id)s and order_id = fresh.order_id
              union all
             select occurred_at, ingested_at from attribution_events
              where tenant_id = %(tenant_id)s and order_id = fresh.order_id and kind = 'conversion') o) f
),
instants as (
  select first_at as at from firsts
   union all
  select first_before from firsts
   union all
  select occurred_at from sold where order_id is null
)
select distinct date_trunc('day', at, 'UTC') as day
  from instants
 where at < %(before)s
   and at >= coalesce((select removed_before from retention where tenant_id = %(tenant_id)s), '-infinity')
 order by day
