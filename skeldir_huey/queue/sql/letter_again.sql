-- A replayed job died again: its letter is pending once more, and no new row is written. Served by the primary key.
-- Not so for a job with other arguments: the letter that it was made of keeps what it says.
update worker_failed_jobs
   set status = 'pending', retry_count = retry_count + 1, last_retry_at = clock_timestamp(),
       failed_at = clock_timestamp(), worker = %(worker)s, error_type = %(error_type)s,
       exception_class = %(exception_class)s, error_message = %(error_message)s, traceback = %(traceback)s,
       fingerprint = %(fingerprint)s
 where id = %(id)s and status = 'in_progress' and replaced_by is distinct from %(task_id)s
