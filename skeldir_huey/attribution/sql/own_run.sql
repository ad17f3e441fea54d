-- Says which job will do the run. By primary key.
update attribution_recompute_jobs
   set task_id = %(task_id)s
 where tenant_id = %(tenant_id)s and id = %(run_id)s
returning tenant_id, id, window_start, window_end, model_version, status, run_count, last_correlation_id, task_id,
       conversion_count, allocation_count, changed_count, checksum, error_message, created_at, started_at, finished_at,
       stale_since
