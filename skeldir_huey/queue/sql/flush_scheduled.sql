-- Deletes all scheduled jobs, unrecorded: for tests and empty systems. Served by job_scheduled.
delete from huey.job where state = 'scheduled'
