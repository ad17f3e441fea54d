-- Adds to a counter, from 0 when it is not there, and returns its new value. Served by the primary key of huey.counter.
insert into huey.counter as c (key, value) values (%(key)s, %(amount)s)
on conflict (key) do update set value = c.value + excluded.value
returning value
