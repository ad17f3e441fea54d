-- Counts what retention would remove of this tenant now. Allocations and events by reading all of the tenant's: it is asked by people.
with rule as materialized (
  select coalesce(r.keep_days, %(keep_days)s) as keep_days, r.removed_before,
         app.retention_boundary(%(keep_days)s) as boundary,
         greatest(r.events_removed_before, app.retention_boundary(%(keep_days)s) - app.longest_lookback()) as events_before
    from (select (select app.tenant()) as tenant_id) given left join retention r using (tenant_id)
)
select rule.keep_days, rule.removed_before, rule.boundary as would_be_removed_before,
       (select count(*) from attribution_allocations a
         where a.converted_at < rule.boundary
           and not exists (select from attribution_events c
                            where c.tenant_id = a.tenant_id and c.parent_event_id = a.event_id and c.kind = 'adjustment'
                              and c.occurred_at >= rule.boundary)) as attribution_allocations,
       (select count(*) from attribution_events e
         where e.occurred_at < rule.events_before
           and not exists (select from attribution_events c
                            where c.tenant_id = e.tenant_id and c.parent_event_id = e.id
                              and c.occurred_at >= rule.events_before)) as attribution_events,
       (select count(*)
          from reconciliation_orders o
          join (select id, created_at, row_number() over (
                         partition by window_start, window_end order by created_at desc, id desc) as age
                  from reconciliation_runs) r on r.id = o.reconciliation_id
         where (r.created_at < clock_timestamp() - make_interval(days => rule.keep_days)
                or (r.age > 1 and r.created_at < clock_timestamp() - interval '7 days'))
           and r.id <> (select n.id from reconciliation_runs n order by n.created_at desc, n.id desc limit 1))
         as reconciliation_orders,
       (select count(*) from dead_events d
         where d.created_at < clock_timestamp() - make_interval(days => rule.keep_days) and d.redacted_at is null)
         as dead_events,
       (select count(*) from worker_failed_jobs f
         where f.status in ('resolved', 'abandoned')
           and coalesce(f.resolved_at, f.failed_at) < clock_timestamp() - %(keep_letters_days)s * interval '1 day')
         as worker_failed_jobs,
       (select count(*) from dead_events d
         where d.remediation_status in ('resolved', 'ignored')
           and d.created_at < clock_timestamp() - interval '365 days'
           and not exists (select from waiting_adjustments w
                            where w.tenant_id = d.tenant_id and w.idempotency_key = d.idempotency_key))
         as settled_records
  from rule
