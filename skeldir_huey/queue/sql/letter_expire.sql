-- Deletes one batch of this tenant's letters that were settled long ago. Served by worker_failed_jobs_recent.
delete from worker_failed_jobs where id in (
  select id from worker_failed_jobs
   where status in ('resolved', 'abandoned')
     and coalesce(resolved_at, failed_at) < clock_timestamp() - %(keep_days)s * interval '1 day'
   order by failed_at limit 1000)
