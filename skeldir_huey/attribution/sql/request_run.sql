-- Makes the run pending, without a job as yet, or gives no row when it is pending or running already. By unique index attribution_recompute_jobs_identity.
insert into attribution_recompute_jobs as run
  (tenant_id, window_start, window_end, model_version, last_correlation_id, reason)
values (%(tenant_id)s, %(window_start)s, %(window_end)s, %(model_version)s, %(correlation_id)s,
        %(reason)s)
on conflict (tenant_id, window_start, window_end, model_version) do update
   set status = 'pending', last_correlation_id = excluded.last_correlation_id, reason = excluded.reason, task_id = null,
       error_message = null, started_at = null, finished_at = null
 where run.status in ('succeeded', 'failed')
returning tenant_id, id, window_start, window_end, model_version, status, run_count, last_correlation_id, task_id,
       conversion_count, allocation_count, changed_count, checksum, error_message, created_at, started_at, finished_at,
       stale_since
