-- Ends jobs that succeeded: each only if its claim still holds; result and history are written with it.
-- Promise: returns the ids that were settled; a job that is missing was fenced off and left no trace here.
-- Served by the primary key of huey.job.
with outcome as (
  select * from unnest(%(ids)s::bigint[], %(tokens)s::uuid[], %(results)s::bytea[], %(run_ms)s::float8[],
                       %(workers)s::text[], %(revoke_keys)s::text[])
    as t(id, token, result, run_ms, worker, revoke_key)
), gone as (
  delete from huey.job j using outcome o
   where j.id = o.id and j.claim_token = o.token
  returning j.id, j.task_id, j.task_name, j.lane, j.tenant_id, j.correlation_id, j.attempt, j.enqueued_at, j.run_at,
            j.claimed_at, j.consumer_id, j.letter_id, o.result, o.run_ms, o.worker, o.revoke_key
), history as (
  insert into huey.job_attempt (task_id, task_name, lane, tenant_id, correlation_id, attempt, outcome, ended, worker,
                                consumer_id, enqueued_at, claimed_at, ended_at, wait_ms, run_ms, letter_id)
  select task_id, task_name, lane, tenant_id, correlation_id, attempt, 'done', true, worker, consumer_id, enqueued_at,
         claimed_at, coalesce(%(now)s::timestamptz, clock_timestamp()),
         extract(epoch from claimed_at - greatest(run_at, enqueued_at)) * 1000, run_ms, letter_id
    from gone
), kept as (
  insert into huey.result (key, value, is_result)
  select task_id, result, true from gone where result is not null
  on conflict (key) do update set value = excluded.value, is_result = true, expires_at = excluded.expires_at
), unrevoked as (
  delete from huey.result r using gone where r.key = gone.revoke_key
), counted as (
  insert into huey.flow (lane, tenant_id, kind, job_count)
  select lane, tenant_id, 'done', count(*) from gone group by lane, tenant_id
)
select id from gone
