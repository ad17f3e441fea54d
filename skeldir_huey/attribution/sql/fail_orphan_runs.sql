-- Marks the tenant's runs failed whose job is nowhere in the queue: a run and its job are added, and end, in one transaction. By index attribution_recompute_jobs_task; jobs by job_task.
update attribution_recompute_jobs r
   set status = 'failed', error_message = %(error_message)s || coalesce(': ' || task_id, ''), task_id = null,
       finished_at = clock_timestamp()
 where r.tenant_id = %(tenant_id)s and r.status in ('pending', 'running')
   and not exists (select from huey.job j where j.task_id = r.task_id)
returning tenant_id, id, window_start, window_end, model_version, status, run_count, last_correlation_id, task_id,
       conversion_count, allocation_count, changed_count, checksum, error_message, created_at, started_at, finished_at,
       stale_since
