-- Pauses a task: its waiting jobs are held, and those added later too. Served by job_waiting.
with rule as (
  insert into huey.task_rule as r (lane, task_name, paused_at, paused_by, pause_reason, resume_at)
  values (%(lane)s, %(task_name)s, clock_timestamp(), %(by)s, %(reason)s, %(resume_at)s)
  on conflict (lane, task_name) do update
     set paused_at = excluded.paused_at, paused_by = excluded.paused_by, pause_reason = excluded.pause_reason,
         resume_at = excluded.resume_at
   where r.paused_at is null
  returning lane, task_name
)
update huey.job j set held = true from rule r
 where j.lane = r.lane and j.task_name = r.task_name and j.state in ('waiting', 'scheduled')
returning j.id
