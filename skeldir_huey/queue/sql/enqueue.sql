-- Adds one job, or nothing when its task id, tick or unique key is already there; wakes the consumers of its lane.
-- Served by job_task, job_tick and job_unique.
with added as (
  insert into huey.job (task_id, lane, priority, task_name, tenant_id, correlation_id, message, state, run_at,
                        tick_key, unique_key, letter_id)
  values (%(task_id)s, %(lane)s, %(priority)s, %(task_name)s, %(tenant_id)s, %(correlation_id)s, %(message)s,
          case when %(run_at)s::timestamptz > coalesce(%(now)s::timestamptz, clock_timestamp())
               then 'scheduled' else 'waiting' end,
          coalesce(%(run_at)s::timestamptz, %(now)s::timestamptz, clock_timestamp()),
          %(tick_key)s, %(unique_key)s, %(letter_id)s)
  on conflict do nothing
  returning task_id, lane
)
select task_id, pg_notify('skeldir_jobs', lane) from added
