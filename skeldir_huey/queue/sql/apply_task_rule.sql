-- Holds the jobs of a task, or lets them go, as the rules say now: only rows that the role may write.
-- Reads the waiting and the scheduled jobs of the lane that row security shows; job_share serves the waiting ones.
update huey.job j set held = rule.held
  from (select w.id,
               exists (select from huey.task_rule k
                        where k.lane = w.lane and k.task_name = w.task_name and k.paused_at is not null)
               or exists (select from huey.tenant_rule t
                           where t.lane = w.lane and t.tenant_id = w.tenant_id and t.paused_at is not null) as held
          from huey.job w
         where w.lane = %(lane)s and w.task_name = %(task_name)s and w.state in ('waiting', 'scheduled')) rule
 where j.id = rule.id and j.held <> rule.held and j.state in ('waiting', 'scheduled')
returning j.id, case when not rule.held then pg_notify('skeldir_jobs', j.lane) end
