-- The tenants that have runs or backfills under way; app_rw may read these columns of all of them. By index attribution_recompute_jobs_task, which holds only such runs; backfills are few.
select tenant_id from attribution_recompute_jobs where status in ('pending', 'running')
 union
select tenant_id from backfills where status = 'running'
 order by tenant_id
