-- Lists messages of waiting jobs in the order in which they run. Served by job_waiting.
select message from huey.job where state = 'waiting' and lane = any(%(lanes)s)
 order by priority desc, rank, id limit %(limit)s
