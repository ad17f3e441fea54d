-- Locks the job's row if the claim still holds; nothing otherwise. Served by the primary key of huey.job.
select id from huey.job where id = %(id)s and claim_token = %(token)s for update
