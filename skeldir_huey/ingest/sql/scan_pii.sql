-- Counts this tenant's stored payloads that have a key of personal data, at any depth. Reads all of the tenant's rows.
with payload as (
  select 'attribution_events' as source, raw_payload as body from attribution_events where raw_payload is not null
  union all
  select 'dead_events', payload from dead_events
)
select source, count(*) as scanned_count,
       count(*) filter (where jsonb_path_exists(body, %(keys)s::jsonpath)) as finding_count
  from payload group by source order by source
