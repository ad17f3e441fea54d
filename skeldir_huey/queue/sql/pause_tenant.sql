-- Pauses a tenant in a lane: its waiting jobs are held, and those added later too. Served by job_share.
with rule as (
  insert into huey.tenant_rule as r (tenant_id, lane, paused_at, paused_by, pause_reason, resume_at)
  values (%(tenant_id)s, %(lane)s, clock_timestamp(), %(by)s, %(reason)s, %(resume_at)s)
  on conflict (tenant_id, lane) do update
     set paused_at = excluded.paused_at, paused_by = excluded.paused_by, pause_reason = excluded.pause_reason,
         resume_at = excluded.resume_at
   where r.paused_at is null
  returning tenant_id, lane
)
update huey.job j set held = true from rule r
 where j.lane = r.lane and j.tenant_id = r.tenant_id and j.state in ('waiting', 'scheduled')
returning j.id
