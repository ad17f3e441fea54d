-- Finds the job that holds a unique key. Served by job_unique.
select task_id from huey.job
 where lane = %(lane)s and tenant_id is not distinct from %(tenant_id)s::uuid and unique_key = %(unique_key)s
