-- Resumes a tenant in a lane: its held jobs wait again, unless their task is paused. Served by job_share.
with rule as (
  update huey.tenant_rule set paused_at = null, paused_by = null, pause_reason = null, resume_at = null
   where tenant_id = %(tenant_id)s and lane = %(lane)s and paused_at is not null
  returning tenant_id, lane
)
update huey.job j
   set held = exists (select from huey.task_rule t
                       where t.lane = j.lane and t.task_name = j.task_name and t.paused_at is not null)
  from rule r
 where j.lane = r.lane and j.tenant_id = r.tenant_id and j.held
returning j.id, pg_notify('skeldir_jobs', j.lane)
