-- Adds one job, or nothing when its task id, tick or unique key is already there; wakes a consumer that has nothing to do.
-- A producer's task id that was done within the last hour is there, too: it did not hear that its commit arrived.
-- Its rank follows the lane's virtual time and its tenant's last waiting job; a delta goes to the ledger.
-- Served by job_share, job_task, job_tick, job_unique and job_attempt_task.
with place as (
  select greatest(coalesce(l.virtual_time, 0),
                  (select j.rank from huey.job j
                    where j.lane = asked.lane and j.state = 'waiting'
                      and coalesce(j.tenant_id, '00000000-0000-0000-0000-000000000000')
                          = coalesce(asked.tenant_id, '00000000-0000-0000-0000-000000000000')
                    order by j.lane desc, coalesce(j.tenant_id, '00000000-0000-0000-0000-000000000000') desc, j.rank desc
                    limit 1)) + 1 / coalesce(tr.weight, 1) as rank,
         tr.paused_at is not null or kr.paused_at is not null as held,
         coalesce(%(now)s::timestamptz, clock_timestamp()) as now
    from (select %(lane)s::text as lane, %(tenant_id)s::uuid as tenant_id, %(task_name)s::text as task_name) asked
    left join huey.lane l on l.name = asked.lane
    left join huey.tenant_rule tr on tr.tenant_id = asked.tenant_id and tr.lane = asked.lane
    left join huey.task_rule kr on kr.task_name = asked.task_name and kr.lane = asked.lane
), added as (
  insert into huey.job (task_id, lane, priority, task_name, tenant_id, correlation_id, message, state, run_at,
                        tick_key, unique_key, letter_id, rank, held)
  select %(task_id)s, %(lane)s, %(priority)s, %(task_name)s, %(tenant_id)s, %(correlation_id)s, %(message)s,
         case when %(run_at)s::timestamptz > place.now then 'scheduled' else 'waiting' end,
         coalesce(%(run_at)s::timestamptz, place.now), %(tick_key)s, %(unique_key)s, %(letter_id)s, place.rank,
         place.held
    from place
   where not (%(from_producer)s and exists (
           select from huey.job_attempt a
            where a.task_id = %(task_id)s and a.outcome = 'done' and a.ended_at > now() - interval '1 hour'))
  on conflict do nothing
  returning task_id, lane, tenant_id
), counted as (
  insert into huey.flow (lane, tenant_id, kind, job_count) select lane, tenant_id, 'enqueued', 1 from added
)
select task_id,
       case when %(always_notify)s or exists (select from huey.consumer c where c.idle and added.lane = any(c.lanes))
            then pg_notify('skeldir_jobs', lane) end
  from added
