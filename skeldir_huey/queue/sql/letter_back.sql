-- A replayed job was cancelled: its letter waits for a decision again. Served by the primary key.
update worker_failed_jobs set status = 'pending', remediation_notes = %(note)s
 where id = %(id)s and status = 'in_progress'
