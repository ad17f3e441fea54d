-- Marks the run succeeded with what this execution found. By primary key.
update attribution_recompute_jobs
   set status = 'succeeded', run_count = run_count + 1, conversion_count = %(conversion_count)s,
       allocation_count = %(allocation_count)s, changed_count = %(changed_count)s, checksum = %(checksum)s,
       error_message = null, finished_at = clock_timestamp(), stale_since = null
 where tenant_id = %(tenant_id)s and id = %(run_id)s
returning tenant_id, id, window_start, window_end, model_version, status, run_count, last_correlation_id, task_id,
       conversion_count, allocation_count, changed_count, checksum, error_message, created_at, started_at, finished_at,
       stale_since
