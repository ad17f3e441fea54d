-- Stops the tenant's running backfills that have neither a step in the queue nor a run under way. By the primary key's tenant_id: a tenant has few; jobs by job_unique, which has the backfill's id as key of its step.
update backfills b
   set status = 'failed', error_message = %(error_message)s, finished_at = clock_timestamp()
 where b.tenant_id = %(tenant_id)s and b.status = 'running'
   and not exists (select from huey.job j
                    where j.lane = 'attribution' and j.tenant_id = b.tenant_id and j.unique_key = b.id::text)
   and not exists (select from attribution_recompute_jobs r
                    where r.tenant_id = b.tenant_id and r.last_correlation_id = b.correlation_id
                      and r.status in ('pending', 'running'))
returning b.id
