-- Makes the allocations of a window in which none of these versions has any yet; one statement, so the exact-sum trigger sees its end. No index: nothing is looked up.
with computed as materialized (
  -- begin computed
  select null::integer as version_no, null::uuid as event_id, null::timestamptz as occurred_at, null::text as channel_code,
         null::text as currency, null::boolean as is_fallback, null::boolean as is_first,
         null::numeric as allocation_ratio, null::bigint as allocated_revenue_cents
   where false
  -- end computed
),
added as (
  insert into attribution_allocations
    (tenant_id, event_id, model_version, channel_code, allocation_ratio, allocated_revenue_cents, currency,
     is_fallback, model_type, run_id, converted_at)
  select %(tenant_id)s, event_id, (%(model_versions)s::text[])[version_no], channel_code, allocation_ratio,
         allocated_revenue_cents, currency, is_fallback, (%(model_types)s::text[])[version_no],
         (%(run_ids)s::uuid[])[version_no], occurred_at
    from computed
),
-- Which conversion times changed, as one span per hour: whose checksum is old now, see mark_stale.sql.
changed as (
  select version_no, count(*) as row_count, count(*) filter (where is_first) as conversion_count,
         tstzrange(min(occurred_at), max(occurred_at), '[]') as span
    from computed
   group by version_no, date_bin('1 hour', occurred_at, 'epoch')
)
select asked.version_no, coalesce(sum(conversion_count), 0)::bigint as conversion_count,
       coalesce(sum(row_count), 0)::bigint as allocation_count, coalesce(sum(row_count), 0)::bigint as changed_count,
       range_agg(span)::text as changed_spans
  from unnest(%(model_versions)s::text[]) with ordinality as asked (model_version, version_no)
  left join changed on changed.version_no = asked.version_no
 group by asked.version_no
 order by asked.version_no
