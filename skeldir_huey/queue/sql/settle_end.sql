-- Ends one job as dead or cancelled if its claim still holds, with its history row. Returns its id, or nothing: fenced.
-- Served by the primary key of huey.job.
with gone as (
  delete from huey.job j where j.id = %(id)s and j.claim_token = %(token)s
  returning j.*
), history as (
  insert into huey.job_attempt (task_id, task_name, lane, tenant_id, correlation_id, attempt, outcome, ended, worker,
                                consumer_id, enqueued_at, claimed_at, ended_at, wait_ms, run_ms, error_class,
                                error_message, letter_id)
  select task_id, task_name, lane, tenant_id, correlation_id, attempt, %(outcome)s, true, %(worker)s, consumer_id,
         enqueued_at, claimed_at, coalesce(%(now)s::timestamptz, clock_timestamp()),
         extract(epoch from claimed_at - greatest(run_at, enqueued_at)) * 1000, %(run_ms)s, %(error_class)s,
         %(error_message)s, letter_id
    from gone
), counted as (
  insert into huey.flow (lane, tenant_id, kind, job_count) select lane, tenant_id, %(outcome)s, 1 from gone
)
select id from gone
