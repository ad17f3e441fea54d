-- Counts jobs of a state in some lanes. Served by job_waiting and job_scheduled.
select count(*) as n from huey.job where state = %(state)s and lane = any(%(lanes)s)
