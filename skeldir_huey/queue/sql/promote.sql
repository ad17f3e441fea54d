-- Makes due jobs claimable, in place. Served by job_scheduled.
with due as materialized (
  select id from huey.job
   where state = 'scheduled' and run_at <= coalesce(%(now)s::timestamptz, clock_timestamp())
   order by run_at, id limit 5000 for update skip locked
), moved as (
  update huey.job j set state = 'waiting' from due where j.id = due.id returning j.lane
)
select lane, count(*), pg_notify('skeldir_jobs', lane) from moved group by lane
