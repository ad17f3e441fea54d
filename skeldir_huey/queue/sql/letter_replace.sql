-- Takes a pending letter whose job goes on with other arguments; no row when it is not pending. Served by the primary key.
update worker_failed_jobs set status = 'in_progress', last_retry_at = clock_timestamp(), replayed_as = %(replayed_as)s,
       replaced_by = %(replayed_as)s
 where id = %(id)s and status = 'pending'
returning task_name, queue, tenant_id, correlation_id, message, task_id
