-- Lists messages of scheduled jobs, soonest first. Served by job_scheduled.
select message from huey.job where state = 'scheduled' and lane = any(%(lanes)s)
 order by run_at, id limit %(limit)s
