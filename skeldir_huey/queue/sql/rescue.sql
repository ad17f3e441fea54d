-- Makes jobs of a dead consumer available again, as suspects. They are ranked anew, from the lane's virtual time on and not
-- behind their tenant's backlog: soon, but not before everybody whose turn has come. Held if their task or tenant was paused
-- meanwhile. Served by the primary key of huey.job.
with lost as (
  select * from unnest(%(ids)s::bigint[], %(tokens)s::uuid[], %(counts)s::boolean[],
                         %(aparts)s::boolean[]) as t(id, token, counts, apart)
), placed as (
  select j.id, lost.token, lost.counts, lost.apart,
         l.virtual_time + row_number() over (partition by j.lane, j.tenant_id order by j.rank, j.id)
                          / coalesce(r.weight, 1) as rank
    from lost join huey.job j on j.id = lost.id and j.claim_token = lost.token
    join huey.lane l on l.name = j.lane
    left join huey.tenant_rule r on r.tenant_id = j.tenant_id and r.lane = j.lane
), back as (
  update huey.job j
     set rank = greatest(j.rank, lost.rank), state = 'waiting', claim_token = null, consumer_id = null, started_at = null,
         claim_alone = true, claim_apart = j.claim_apart or lost.apart,
         deaths = j.deaths + lost.counts::integer, attempt = j.attempt - (not lost.counts)::integer,
         last_error = 'its worker died',
         held = exists (select from huey.task_rule k
                         where k.lane = j.lane and k.task_name = j.task_name and k.paused_at is not null)
             or exists (select from huey.tenant_rule t
                         where t.lane = j.lane and t.tenant_id = j.tenant_id and t.paused_at is not null)
    from placed lost where j.id = lost.id and j.claim_token = lost.token
  returning j.*, lost.counts
), history as (
  insert into huey.job_attempt (task_id, task_name, lane, tenant_id, correlation_id, attempt, outcome, ended,
                                consumer_id, enqueued_at, claimed_at, ended_at, error_message, letter_id)
  select task_id, task_name, lane, tenant_id, correlation_id, attempt + (not counts)::integer, 'worker_lost', false,
         %(consumer_id)s, enqueued_at, claimed_at, clock_timestamp(), 'its worker died', letter_id
    from back
)
select id, pg_notify('skeldir_jobs', lane) from back
