-- Sets how many jobs of a task run at once; null lifts the cap. Served by the primary key of huey.task_rule.
insert into huey.task_rule (lane, task_name, cap) values (%(lane)s, %(task_name)s, %(cap)s)
on conflict (lane, task_name) do update set cap = excluded.cap
