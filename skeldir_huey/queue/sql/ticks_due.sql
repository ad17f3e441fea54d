-- Returns which of these periodic tasks have not been looked at in the present minute, without locking anything.
-- Served by the primary key of huey.tick.
select asked.task_name
  from unnest(%(names)s::text[]) as asked(task_name)
  left join huey.tick t on t.task_name = asked.task_name
 where t.last_tick is null or t.last_tick < date_trunc('minute', coalesce(%(now)s::timestamptz, clock_timestamp()))
