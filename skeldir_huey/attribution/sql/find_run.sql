-- One run by what identifies it. By unique index attribution_recompute_jobs_identity.
select tenant_id, id, window_start, window_end, model_version, status, run_count, last_correlation_id, task_id,
       conversion_count, allocation_count, changed_count, checksum, error_message, created_at, started_at, finished_at,
       stale_since
  from attribution_recompute_jobs
 where tenant_id = %(tenant_id)s and window_start = %(window_start)s and window_end = %(window_end)s
   and model_version = %(model_version)s
