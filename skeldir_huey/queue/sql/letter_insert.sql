-- Writes the dead letter of a job that ended for good; one per job. Served by worker_failed_jobs_task.
insert into worker_failed_jobs (id, tenant_id, task_id, task_name, queue, worker, task_args, task_kwargs, error_type,
                                exception_class, error_message, traceback, fingerprint, correlation_id, message,
                                edited_from)
values (%(id)s, %(tenant_id)s, %(task_id)s, %(task_name)s, %(queue)s, %(worker)s, %(task_args)s, %(task_kwargs)s,
        %(error_type)s, %(exception_class)s, %(error_message)s, %(traceback)s, %(fingerprint)s, %(correlation_id)s,
        %(message)s, %(edited_from)s)
