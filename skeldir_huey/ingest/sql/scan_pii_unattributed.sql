-- Counts dead letters and jobs without a tenant that have a key of personal data. Reads all of them.
select count(*) as finding_count
  from (select task_args::text || task_kwargs::text || encode(message, 'escape') as body
          from worker_failed_jobs where tenant_id is null
         union all
        select encode(message, 'escape') from huey.job where tenant_id is null) stored
 where app.pii_key(body) is not null
