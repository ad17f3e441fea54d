-- Returns which of these periodic tasks have not been looked at in the present minute, without locking anything.
-- One that was looked at more than an hour from now was so by a clock that was wrong.
-- Served by the primary key of huey.tick.
select asked.task_name
  from unnest(%(names)s::text[]) as asked(task_name)
  left join huey.tick t on t.task_name = asked.task_name
 cross join (select date_trunc('minute', coalesce(%(now)s::timestamptz, clock_timestamp())) as minute) present
 where t.last_tick is null or t.last_tick < minute or t.last_tick > minute + interval '1 hour'
