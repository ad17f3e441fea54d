-- Whether a run of this version is waiting or running. By index attribution_recompute_jobs_task, which holds only those.
select exists (
  select from attribution_recompute_jobs
   where tenant_id = %(tenant_id)s and model_version = %(model_version)s and status in ('pending', 'running')) as active
