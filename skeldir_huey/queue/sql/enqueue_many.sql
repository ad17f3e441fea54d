-- Adds many jobs of one lane, task and tenant in one statement; ids that are there, or were done within an hour, are left out.
-- Ranks follow each other, so that other tenants' jobs come between. Served by job_share, job_task and job_attempt_task.
with place as (
  select greatest(coalesce(l.virtual_time, 0),
                  (select j.rank from huey.job j
                    where j.lane = asked.lane and j.state = 'waiting'
                      and coalesce(j.tenant_id, '00000000-0000-0000-0000-000000000000')
                          = coalesce(asked.tenant_id, '00000000-0000-0000-0000-000000000000')
                    order by j.lane desc, coalesce(j.tenant_id, '00000000-0000-0000-0000-000000000000') desc, j.rank desc
                    limit 1)) as rank,
         1 / coalesce(tr.weight, 1) as step,
         tr.paused_at is not null or kr.paused_at is not null as held,
         coalesce(%(now)s::timestamptz, clock_timestamp()) as now
    from (select %(lane)s::text as lane, %(tenant_id)s::uuid as tenant_id, %(task_name)s::text as task_name) asked
    left join huey.lane l on l.name = asked.lane
    left join huey.tenant_rule tr on tr.tenant_id = asked.tenant_id and tr.lane = asked.lane
    left join huey.task_rule kr on kr.task_name = asked.task_name and kr.lane = asked.lane
), added as (
  insert into huey.job (task_id, lane, priority, task_name, tenant_id, correlation_id, message, state, run_at, rank,
                        held)
  select one.task_id, %(lane)s, one.priority, %(task_name)s, %(tenant_id)s, %(correlation_id)s, one.message,
         case when one.run_at > place.now then 'scheduled' else 'waiting' end, coalesce(one.run_at, place.now),
         place.rank + place.step * one.nth, place.held
    from place cross join unnest(%(task_ids)s::text[], %(messages)s::bytea[], %(priorities)s::float8[],
                                 %(run_ats)s::timestamptz[])
         with ordinality as one(task_id, message, priority, run_at, nth)
   where not exists (select from huey.job_attempt a
                      where a.task_id = one.task_id and a.outcome = 'done' and a.ended_at > now() - interval '1 hour')
  on conflict do nothing
  returning lane, tenant_id
), counted as (
  insert into huey.flow (lane, tenant_id, kind, job_count)
  select lane, tenant_id, 'enqueued', count(*) from added group by lane, tenant_id
)
select count(*) as n, (select pg_notify('skeldir_jobs', %(lane)s)) from added
