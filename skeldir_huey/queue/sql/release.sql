-- Gives back claims whose work never began, uncounted; held if their task or tenant was paused meanwhile.
-- Served by the primary key of huey.job.
update huey.job j
   set state = 'waiting', attempt = j.attempt - 1, claim_token = null, consumer_id = null, started_at = null,
       held = exists (select from huey.task_rule k
                       where k.lane = j.lane and k.task_name = j.task_name and k.paused_at is not null)
           or exists (select from huey.tenant_rule r
                       where r.lane = j.lane and r.tenant_id = j.tenant_id and r.paused_at is not null)
  from unnest(%(ids)s::bigint[], %(tokens)s::uuid[]) as t(id, token)
 where j.id = t.id and j.claim_token = t.token
returning j.id, pg_notify('skeldir_jobs', j.lane)
