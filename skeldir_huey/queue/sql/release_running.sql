-- Gives a running job back to the line, if it is of this transaction's tenant and still in the claim that was looked at.
-- Served by job_task.
select task_name, tenant_id, state, attempt, released from app.release_job(%(task_id)s, %(claim)s, %(why)s)
