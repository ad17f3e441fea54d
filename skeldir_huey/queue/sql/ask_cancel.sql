-- Stores the word that a job is to be cancelled, if it is of this transaction's tenant, once. Served by job_task.
select task_name, tenant_id, state, asked from app.ask_cancel(%(task_id)s, %(word)s)
