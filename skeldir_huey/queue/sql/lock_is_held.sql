-- Says whether a lock has a living owner. Served by the primary key of huey.lock.
select key from huey.lock l
 where key = %(key)s and (l.expires_at is null or l.expires_at > clock_timestamp())
   and (l.job_id is null or exists (
          select from huey.job j where j.id = l.job_id and j.claim_token = l.claim_token))
