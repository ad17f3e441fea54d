-- Marks the run of this job failed; a run that a newer job took over has that one's task id, and stays. By index attribution_recompute_jobs_task.
update attribution_recompute_jobs
   set status = 'failed', error_message = %(error_message)s, finished_at = clock_timestamp()
 where tenant_id = %(tenant_id)s and task_id = %(task_id)s and status in ('pending', 'running')
returning id
