-- Says of jobs what keeps each from running, and how many jobs are ahead of it. Served by job_task and job_waiting.
select j.task_id, j.state, j.lane, j.task_name, j.tenant_id, j.run_at, j.last_error, j.claim_alone as suspect,
       j.claim_apart as apart,
       l.paused_at is not null as lane_paused, l.pause_reason as lane_reason, l.resume_at as lane_resume_at,
       kr.paused_at is not null as task_paused, kr.pause_reason as task_reason,
       tr.paused_at is not null as tenant_paused, tr.pause_reason as tenant_reason,
       l.cap as lane_cap, kr.cap as task_cap, tr.cap as tenant_cap,
       (select count(*) from huey.job b where b.state = 'running' and b.lane = j.lane) as lane_running,
       (select count(*) from huey.job b
         where b.state = 'running' and b.lane = j.lane and b.task_name = j.task_name) as task_running,
       (select count(*) from huey.job b
         where b.state = 'running' and b.lane = j.lane and b.tenant_id = j.tenant_id) as tenant_running,
       exists (select from huey.consumer c
                where j.lane = any(c.lanes) and c.stopped_at is null
                  and c.heartbeat_at > clock_timestamp() - %(frozen_after_s)s * interval '1 second') as has_consumer,
       (select count(*) from (
          select from huey.job a
           where a.lane = j.lane and a.state = 'waiting' and not a.held
             and (a.priority > j.priority or (a.priority = j.priority and (a.rank, a.id) < (j.rank, j.id)))
           limit 10001) ahead) as ahead_count
  from huey.job j
  join huey.lane l on l.name = j.lane
  left join huey.task_rule kr on kr.lane = j.lane and kr.task_name = j.task_name
  left join huey.tenant_rule tr on tr.lane = j.lane and tr.tenant_id = j.tenant_id
 where j.task_id = any (%(task_ids)s::text[])
