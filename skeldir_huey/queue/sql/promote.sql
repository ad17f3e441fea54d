-- Makes due jobs claimable, in place, ranked as if they were added now: many of one tenant do not push others back.
-- Served by job_scheduled and job_share.
with due as materialized (
  select id, lane, tenant_id, task_name, priority, run_at from huey.job
   where state = 'scheduled' and run_at <= coalesce(%(now)s::timestamptz, clock_timestamp())
   order by run_at, id limit 5000 for update skip locked
), share as materialized (
  select s.lane, s.tenant_id, 1 / coalesce(r.weight, 1) as step,
         greatest(l.virtual_time,
                  (select w.rank from huey.job w
                    where w.lane = s.lane and w.state = 'waiting'
                      and coalesce(w.tenant_id, '00000000-0000-0000-0000-000000000000')
                          = coalesce(s.tenant_id, '00000000-0000-0000-0000-000000000000')
                    order by w.lane desc, coalesce(w.tenant_id, '00000000-0000-0000-0000-000000000000') desc, w.rank desc
                    limit 1)) as rank
    from (select distinct lane, tenant_id from due) s
    join huey.lane l on l.name = s.lane
    left join huey.tenant_rule r on r.tenant_id = s.tenant_id and r.lane = s.lane
), placed as (
  select due.id, share.rank + share.step * row_number() over (
           partition by due.lane, due.tenant_id order by due.priority desc, due.run_at, due.id) as rank
    from due join share on share.lane = due.lane and share.tenant_id is not distinct from due.tenant_id
), moved as (
  update huey.job j set state = 'waiting', rank = placed.rank from placed where j.id = placed.id returning j.lane
)
select lane, count(*), pg_notify('skeldir_jobs', lane) from moved group by lane
