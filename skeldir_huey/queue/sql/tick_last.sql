-- Returns the present minute and the last one looked at of a periodic task, locking its row so that consumers take turns.
-- Served by the primary key of huey.tick.
select date_trunc('minute', coalesce(%(now)s::timestamptz, clock_timestamp())) as minute, last_tick
  from (select 1) as one left join (
    select last_tick from huey.tick where task_name = %(task_name)s for update) as t on true
