-- Resumes a task: its held jobs wait again, unless their tenant is paused. Reads the held jobs of the lane.
with rule as (
  update huey.task_rule set paused_at = null, paused_by = null, pause_reason = null, resume_at = null
   where task_name = %(task_name)s and lane = %(lane)s and paused_at is not null
  returning lane, task_name
)
update huey.job j
   set held = exists (select from huey.tenant_rule t
                       where t.lane = j.lane and t.tenant_id = j.tenant_id and t.paused_at is not null)
  from rule r
 where j.lane = r.lane and j.task_name = r.task_name and j.held
returning j.id, pg_notify('skeldir_jobs', j.lane)
