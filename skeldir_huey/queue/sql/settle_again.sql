-- Gives one job back for another attempt if its claim still holds, with its history row. Returns its id, or nothing.
-- `counted` false gives the attempt number back as well; `cut` counts a death unless the server started since.
-- It is held if its task or tenant was paused meanwhile. An attempt that ended by itself did not kill its consumer: the job is no suspect any more.
-- Served by the primary key of huey.job.
with back as (
  update huey.job j
     set state = case when %(run_at)s::timestamptz > coalesce(%(now)s::timestamptz, clock_timestamp())
                      then 'scheduled' else 'waiting' end,
         run_at = coalesce(%(run_at)s::timestamptz, %(now)s::timestamptz, clock_timestamp()),
         rank = case when %(counted)s then greatest((select l.virtual_time from huey.lane l where l.name = j.lane),
                         (select w.rank from huey.job w
                           where w.lane = j.lane and w.state = 'waiting'
                             and coalesce(w.tenant_id, '00000000-0000-0000-0000-000000000000')
                                 = coalesce(j.tenant_id, '00000000-0000-0000-0000-000000000000')
                           order by w.lane desc, coalesce(w.tenant_id, '00000000-0000-0000-0000-000000000000') desc, w.rank desc
                           limit 1))
                + 1 / coalesce((select r.weight from huey.tenant_rule r
                                 where r.tenant_id = j.tenant_id and r.lane = j.lane), 1) else j.rank end,
         message = coalesce(%(message)s, j.message), attempt = j.attempt - case when %(counted)s then 0 else 1 end,
         deaths = j.deaths + (%(cut)s and j.claimed_at > pg_postmaster_start_time())::integer,
         claim_token = null, consumer_id = null, started_at = null, last_error = %(error_message)s,
         claim_alone = j.claim_alone and not %(counted)s, claim_apart = j.claim_apart and not %(counted)s,
         held = exists (select from huey.task_rule k
                         where k.lane = j.lane and k.task_name = j.task_name and k.paused_at is not null)
             or exists (select from huey.tenant_rule t
                         where t.lane = j.lane and t.tenant_id = j.tenant_id and t.paused_at is not null),
         unknown_since = case when %(unknown)s
                              then coalesce(j.unknown_since, %(now)s::timestamptz, clock_timestamp()) end
   where j.id = %(id)s and j.claim_token = %(token)s
  returning j.*
), history as (
  insert into huey.job_attempt (task_id, task_name, lane, tenant_id, correlation_id, attempt, outcome, ended, worker,
                                consumer_id, enqueued_at, claimed_at, ended_at, wait_ms, run_ms, error_class,
                                error_message, letter_id)
  select task_id, task_name, lane, tenant_id, correlation_id,
         attempt + case when %(counted)s then 0 else 1 end, %(outcome)s, false, %(worker)s,
         %(consumer_id)s, enqueued_at, claimed_at, coalesce(%(now)s::timestamptz, clock_timestamp()),
         null, %(run_ms)s, %(error_class)s, %(error_message)s, letter_id
    from back
)
select id, pg_notify('skeldir_jobs', lane) from back
