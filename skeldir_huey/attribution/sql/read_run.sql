-- One run by its id. By primary key.
select tenant_id, id, window_start, window_end, model_version, status, run_count, last_correlation_id, task_id,
       conversion_count, allocation_count, changed_count, checksum, error_message, created_at, started_at, finished_at,
       stale_since
  from attribution_recompute_jobs
 where tenant_id = %(tenant_id)s and id = %(run_id)s
