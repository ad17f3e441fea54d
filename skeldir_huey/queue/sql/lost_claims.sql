-- Locks the claims of a consumer that is gone, and says of each whether the death counts as the job's own.
-- It does for the only suspect, which nothing began beside, and for the only job that the consumer had. A server start
-- after the claim is the server's fault. Suspects that died together are to be set apart. Served by job_running.
select j.id, j.task_id, j.claim_token, j.deaths, j.attempt, j.task_name, j.lane, j.priority, j.tenant_id, j.correlation_id,
       j.message, j.letter_id, j.unknown_since, j.enqueued_at, j.run_at, j.claimed_at, j.rank,
       (j.claimed_alone or j.started_at is not null) and j.claimed_at > pg_postmaster_start_time()
         and not exists (select from huey.job beside
                          where beside.state = 'running' and beside.consumer_id = j.consumer_id and beside.id <> j.id
                            and beside.claim_alone >= j.claim_alone) as counts,
       j.claim_alone and exists (select from huey.job beside
                                  where beside.state = 'running' and beside.consumer_id = j.consumer_id
                                    and beside.id <> j.id and beside.claim_alone) as apart
  from huey.job j
 where j.state = 'running' and j.consumer_id = %(consumer_id)s
   for update skip locked
