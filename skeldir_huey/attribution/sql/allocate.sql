-- Makes the allocations of a window, of one or more versions, what the credits say, to the cent, and writes only rows that differ; one statement, so each exact-sum trigger sees its end. Existing rows by index attribution_allocations_time.
with computed as materialized (
  -- begin computed
  select null::integer as version_no, null::uuid as event_id, null::timestamptz as occurred_at, null::text as channel_code,
         null::text as currency, null::boolean as is_fallback, null::boolean as is_first,
         null::numeric as allocation_ratio, null::bigint as allocated_revenue_cents
   where false
  -- end computed
),
-- New and old side by side, where they differ. A full join is by hash or by merge, whatever the planner thinks of CTEs.
compared as materialized (
  select version_no, event_id, channel_code, coalesce(n.occurred_at, o.converted_at) as occurred_at,
         n.allocation_ratio as ratio, n.allocated_revenue_cents as cents, n.currency, n.is_fallback, o.place
    from computed n
    full join (select array_position(%(model_versions)s::text[], model_version) as version_no, event_id, channel_code,
                      allocation_ratio, allocated_revenue_cents, currency, is_fallback, converted_at, ctid as place
                 from attribution_allocations
                where tenant_id = %(tenant_id)s and model_version = any (%(model_versions)s::text[])
                  and converted_at >= %(window_start)s and converted_at < %(window_end)s
                  and not is_adjustment) o using (version_no, event_id, channel_code)
   where (o.allocation_ratio, o.allocated_revenue_cents, o.currency, o.is_fallback)
         is distinct from (n.allocation_ratio, n.allocated_revenue_cents, n.currency, n.is_fallback)
),
-- By ctid: the locks of these versions keep the rows where they are, and nothing else is looked at.
removed as (
  delete from attribution_allocations
   where tenant_id = %(tenant_id)s and ctid = any (array(select place from compared where cents is null))
),
-- Nobody else writes rows of these versions meanwhile, so rows that are not there need no ON CONFLICT, which costs more.
added as (
  insert into attribution_allocations
    (tenant_id, event_id, model_version, channel_code, allocation_ratio, allocated_revenue_cents, currency,
     is_fallback, model_type, run_id, converted_at)
  select %(tenant_id)s, event_id, (%(model_versions)s::text[])[version_no], channel_code, ratio, cents, currency,
         is_fallback, (%(model_types)s::text[])[version_no], (%(run_ids)s::uuid[])[version_no], occurred_at
    from compared
   where place is null
),
-- By key, row for row: an update that joins could be planned as a loop over all of them for each.
corrected as (
  insert into attribution_allocations as a
    (tenant_id, event_id, model_version, channel_code, allocation_ratio, allocated_revenue_cents, currency,
     is_fallback, model_type, run_id, converted_at)
  select %(tenant_id)s, event_id, (%(model_versions)s::text[])[version_no], channel_code, ratio, cents, currency,
         is_fallback, (%(model_types)s::text[])[version_no], (%(run_ids)s::uuid[])[version_no], occurred_at
    from compared
   where place is not null and cents is not null
  on conflict (tenant_id, event_id, model_version, channel_code) do update
     set allocation_ratio = excluded.allocation_ratio,
         allocated_revenue_cents = excluded.allocated_revenue_cents,
         currency = excluded.currency, is_fallback = excluded.is_fallback, run_id = excluded.run_id
),
-- Which conversion times changed, as one span per hour: whose checksum is old now, see mark_stale.sql.
changed as (
  select version_no, count(*) as row_count, tstzrange(min(occurred_at), max(occurred_at), '[]') as span
    from compared
   group by version_no, date_bin('1 hour', occurred_at, 'epoch')
),
counts as (
  select version_no, count(*) filter (where is_first) as conversion_count, count(*) as allocation_count
    from computed group by version_no
)
select asked.version_no, coalesce(conversion_count, 0) as conversion_count,
       coalesce(allocation_count, 0) as allocation_count, coalesce(sum(changed.row_count), 0)::bigint as changed_count,
       range_agg(changed.span)::text as changed_spans
  from unnest(%(model_versions)s::text[]) with ordinality as asked (model_version, version_no)
  left join counts on counts.version_no = asked.version_no
  left join changed on changed.version_no = asked.version_no
 group by asked.version_no, conversion_count, allocation_count
 order by asked.version_no
