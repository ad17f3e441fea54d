-- Deletes all waiting jobs, unrecorded: for tests and empty systems. Served by job_waiting.
delete from huey.job where state = 'waiting'
