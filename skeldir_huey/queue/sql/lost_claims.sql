-- Locks the claims of a consumer that is gone, and says of each whether the death counts as the job's own.
-- It does for the only suspect, which nothing began beside, and for the only job that the consumer had. A server start
-- after the claim is the server's fault. Suspects that died together are to be set apart. Served by job_running.
select j.id, j.task_id, j.claim_token, j.deaths, j.attempt, j.task_name, j.lane, j.priority, j.tenant_id, j.correlation_id,
       j.message, j.letter_id, j.unknown_since, j.enqueued_at, j.run_at, j.claimed_at, j.rank,
       (j.claimed_alone or j.started_at is not null) and j.claimed_at > pg_postmaster_start_time()
         and not (beside.suspect or beside.anyone and not j.claim_alone) as counts,
       j.claim_alone and beside.suspect as apart
  from huey.job j
 cross join lateral (select count(*) > 0 as anyone, count(*) filter (where b.claim_alone) > 0 as suspect
                       from huey.job b
                      where b.state = 'running' and b.consumer_id = j.consumer_id and b.id <> j.id) beside
 where j.state = 'running' and j.consumer_id = %(consumer_id)s
   for update of j skip locked
