-- Closes a letter whose job went on with other arguments and died: its new letter is the one to look at. By primary key.
update worker_failed_jobs set status = 'abandoned', remediation_notes = %(note)s
 where id = %(id)s and status = 'in_progress' and replaced_by = %(task_id)s
