-- Gives back claims whose work never began, uncounted. Served by the primary key of huey.job.
update huey.job j
   set state = 'waiting', attempt = j.attempt - 1, claim_token = null, consumer_id = null, started_at = null
  from unnest(%(ids)s::bigint[], %(tokens)s::uuid[]) as t(id, token)
 where j.id = t.id and j.claim_token = t.token
returning j.id, pg_notify('skeldir_jobs', j.lane)
