-- Marks the run running, whatever it was, and makes it when a job came without one. By unique index attribution_recompute_jobs_identity.
insert into attribution_recompute_jobs as run
  (tenant_id, window_start, window_end, model_version, status, last_correlation_id, task_id, started_at)
values (%(tenant_id)s, %(window_start)s, %(window_end)s, %(model_version)s, 'running', %(correlation_id)s, %(task_id)s,
        clock_timestamp())
on conflict (tenant_id, window_start, window_end, model_version) do update
   set status = 'running', task_id = excluded.task_id, started_at = excluded.started_at, finished_at = null,
       last_correlation_id = coalesce(excluded.last_correlation_id, run.last_correlation_id), error_message = null
returning tenant_id, id, window_start, window_end, model_version, status, run_count, last_correlation_id, task_id,
       conversion_count, allocation_count, changed_count, checksum, error_message, created_at, started_at, finished_at,
       stale_since
