-- A replayed job is done: its letter is resolved, for good. Served by the primary key of worker_failed_jobs.
update worker_failed_jobs set status = 'resolved', resolved_at = clock_timestamp()
 where id = %(id)s and status in ('in_progress', 'pending')
