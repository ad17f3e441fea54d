-- Whether this version was ever run, or is about to be. By unique index attribution_recompute_jobs_identity.
select exists (
  select from attribution_recompute_jobs
   where tenant_id = %(tenant_id)s and model_version = %(model_version)s) as known
