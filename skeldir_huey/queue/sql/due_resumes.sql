-- Lists the pauses whose end has come. Reads the small tables of rules.
select name as lane, null::text as task_name, null::uuid as tenant_id from huey.lane
 where paused_at is not null and resume_at <= coalesce(%(now)s::timestamptz, clock_timestamp())
union all
select lane, task_name, null from huey.task_rule
 where paused_at is not null and resume_at <= coalesce(%(now)s::timestamptz, clock_timestamp())
union all
select lane, null, tenant_id from huey.tenant_rule
 where paused_at is not null and resume_at <= coalesce(%(now)s::timestamptz, clock_timestamp())
