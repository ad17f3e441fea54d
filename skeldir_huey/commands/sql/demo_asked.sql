-- Returns whether the tenant of the transaction ever had a job of this task, waiting or failed; few rows, both scanned.
select exists (select from huey.job where task_name = %(task_name)s)
    or exists (select from worker_failed_jobs where task_name = %(task_name)s) as asked
