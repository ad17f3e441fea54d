-- Takes a lock, also one whose owner's claim ended or whose time is over; returns its key, or nothing. Served by its key.
insert into huey.lock as l (key, job_id, claim_token, expires_at)
values (%(key)s, %(job_id)s, %(claim_token)s, clock_timestamp() + %(ttl_s)s::float8 * interval '1 second')
on conflict (key) do update
   set job_id = excluded.job_id, claim_token = excluded.claim_token, expires_at = excluded.expires_at,
       acquired_at = clock_timestamp()
 where l.expires_at <= clock_timestamp()
    or (l.job_id is not null and not exists (
          select from huey.job j where j.id = l.job_id and j.claim_token = l.claim_token))
returning key
