-- Makes a failed run pending again, done by this job; one that was asked for again meanwhile stays as it is. By unique index attribution_recompute_jobs_identity.
update attribution_recompute_jobs
   set status = 'pending', task_id = %(task_id)s, error_message = null, started_at = null, finished_at = null
 where tenant_id = %(tenant_id)s and window_start = %(window_start)s and window_end = %(window_end)s
   and model_version = %(model_version)s and status = 'failed'
