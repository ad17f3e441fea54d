-- Moves the last minute of a periodic task forward; no row means that another consumer was first.
-- Served by the primary key of huey.tick.
insert into huey.tick as t (task_name, last_tick) values (%(task_name)s, %(minute)s)
on conflict (task_name) do update set last_tick = excluded.last_tick where t.last_tick < excluded.last_tick
returning last_tick
