-- Writes this tenant's findings of keys of personal data, and forgets those whose row is gone or mended. Reads all of the tenant's rows; findings by index pii_audit_findings_place.
with stored as (
  select 'attribution_events' as source, id::text as row_key, raw_payload::text as body
    from attribution_events where raw_payload is not null
   union all
  select 'dead_events', id::text, payload::text from dead_events
   union all
  -- A message is JSON in bytes; "escape" shows any bytes as text.
  select 'worker_failed_jobs', id::text, task_args::text || task_kwargs::text || encode(message, 'escape')
    from worker_failed_jobs where tenant_id = (select app.tenant())
   union all
  select 'huey.job', task_id, encode(message, 'escape') from huey.job where tenant_id = (select app.tenant())
),
scanned as materialized (
  select source, row_key, app.pii_key(body) as key_name from stored
),
written as (
  insert into pii_audit_findings (tenant_id, source, row_key, key_name)
  select app.tenant(), source, row_key, key_name from scanned where key_name is not null
  on conflict (tenant_id, source, row_key, key_name) do update set last_seen_at = clock_timestamp()
  returning source, xmax = 0 as is_new
),
mended as (
  delete from pii_audit_findings f
   where not exists (select from scanned s
                      where s.source = f.source and s.row_key = f.row_key and s.key_name = f.key_name)
),
news as (
  select source, count(*) filter (where is_new) as new_count from written group by source
)
select s.source, count(*) as scanned_count, count(s.key_name) as finding_count,
       coalesce(max(n.new_count), 0)::bigint as new_count
  from scanned s left join news n using (source) group by s.source order by s.source
