-- Moves the last minute of a periodic task forward; no row means that another consumer was first. It goes back only from
-- more than an hour ahead, where a clock that was wrong had moved it.
-- Served by the primary key of huey.tick.
insert into huey.tick as t (task_name, last_tick) values (%(task_name)s, %(minute)s)
on conflict (task_name) do update set last_tick = excluded.last_tick where t.last_tick < excluded.last_tick or t.last_tick > excluded.last_tick + interval '1 hour'
returning last_tick
