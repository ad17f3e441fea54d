-- Lets go of a lock if this owner still has it. Served by the primary key of huey.lock.
delete from huey.lock
 where key = %(key)s and job_id is not distinct from %(job_id)s::bigint
   and claim_token is not distinct from %(claim_token)s::uuid
returning key
