-- Says where a letter stands. Served by the primary key of worker_failed_jobs.
select status, replayed_as from worker_failed_jobs where id = %(id)s
