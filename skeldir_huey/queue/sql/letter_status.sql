-- Says where a letter stands. Served by the primary key of worker_failed_jobs.
select status, replayed_as, replaced_by from worker_failed_jobs where id = %(id)s
