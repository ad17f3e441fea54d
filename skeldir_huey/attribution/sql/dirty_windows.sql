-- The fewest windows of whole UTC days that cover the tenant's dirty ranges, that with the range that waits longest first, with the status of a run that has just this window and a job. By the primary keys' tenant_id.
select p.model_version, lower(w.days) as window_start, upper(w.days) as window_end, r.status
  from attribution_published p
 cross join (
   select unnest(range_agg(tstzrange(
            date_trunc('day', greatest(range_start, kept.removed_before), 'UTC'),
            date_trunc('day', range_end - interval '1 microsecond', 'UTC') + interval '24 hours'))) as days
     from attribution_dirty_ranges d
     left join retention kept using (tenant_id)
    where d.tenant_id = %(tenant_id)s and (kept.removed_before is null or d.range_end > kept.removed_before)) w
  left join attribution_recompute_jobs r
    on r.tenant_id = p.tenant_id and r.model_version = p.model_version
   and r.window_start = lower(w.days) and r.window_end = upper(w.days) and r.task_id is not null
 where p.tenant_id = %(tenant_id)s
 order by (select min(waits.created_at) from attribution_dirty_ranges waits
            where waits.tenant_id = %(tenant_id)s
              and waits.range_start < upper(w.days) and waits.range_end > lower(w.days)), lower(w.days)
