-- Says whether a periodic task is paused. Served by the primary key of huey.cron_pause.
select exists (select from huey.cron_pause where task_name = %(task_name)s) as paused
