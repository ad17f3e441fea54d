-- Whether runs of this version are waiting or running, one for late data among them, and since when late data waits. By index attribution_recompute_jobs_task, which holds only those, and the primary key of attribution_dirty_ranges.
select coalesce(bool_or(reason = 'dirty'), false) as is_dirty_active, count(*) > 0 as is_active,
       coalesce((select extract(epoch from clock_timestamp() - min(created_at)) from attribution_dirty_ranges
                  where tenant_id = %(tenant_id)s), 0)::double precision as waited_s
  from attribution_recompute_jobs
 where tenant_id = %(tenant_id)s and model_version = %(model_version)s and status in ('pending', 'running')
