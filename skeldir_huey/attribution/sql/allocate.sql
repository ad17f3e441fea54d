-- Makes the allocations of a window, of one or more versions, what the credits say, to the cent, and writes only rows that differ; one statement, so each exact-sum trigger sees its end. Existing rows by index attribution_allocations_time.
with credits as (
  -- begin credits
  select null::integer as version_no, null::uuid as event_id, null::timestamptz as occurred_at, null::bigint as revenue_cents,
         null::text as currency, null::text as channel_code, null::bigint as weight, null::boolean as is_fallback
   where false
  -- end credits
),
-- Largest remainder, twice: of the cents, and of 10^10 units for the stored ratio. Exact: numeric div and mod only.
floored as (
  select version_no, event_id, occurred_at, revenue_cents, currency, channel_code collate "C" as channel_code, is_fallback,
         div(revenue_cents::numeric * weight, whole)::bigint as cents,
         mod(revenue_cents::numeric * weight, whole) as cents_rest,
         div(10000000000::numeric * weight, whole)::bigint as units,
         mod(10000000000::numeric * weight, whole) as units_rest
    from (select c.*, sum(weight) over (partition by version_no, event_id) as whole from credits c) weighed
),
ranked as (
  select version_no, event_id, occurred_at, currency, channel_code, is_fallback, cents, units,
         revenue_cents - sum(cents) over event as cents_left,
         row_number() over (partition by version_no, event_id order by cents_rest desc, channel_code) as cents_rank,
         10000000000 - sum(units) over event as units_left,
         row_number() over (partition by version_no, event_id order by units_rest desc, channel_code) as units_rank
    from floored
  window event as (partition by version_no, event_id)
),
computed as materialized (
  select version_no, event_id, occurred_at, channel_code, currency, is_fallback, cents_rank = 1 as is_first,
         ((units + (units_rank <= units_left)::integer) * 0.0000000001)::numeric(12, 10) as allocation_ratio,
         (cents + (cents_rank <= cents_left)::integer)::bigint as allocated_revenue_cents
    from ranked
),
-- New and old side by side, where they differ. A full join is by hash or by merge, whatever the planner thinks of CTEs.
compared as materialized (
  select version_no, event_id, channel_code, n.occurred_at, n.allocation_ratio as ratio,
         n.allocated_revenue_cents as cents, n.currency, n.is_fallback, o.place
    from computed n
    full join (select array_position(%(model_versions)s::text[], model_version) as version_no, event_id, channel_code,
                      allocation_ratio, allocated_revenue_cents, currency, is_fallback, ctid as place
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
  returning model_version, converted_at
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
  returning model_version, converted_at
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
  returning a.model_version, a.converted_at
),
-- Which conversion times changed, as one span per hour: whose checksum is old now, see mark_stale.sql.
changed as (
  select model_version, count(*) as row_count,
         tstzrange(min(converted_at), max(converted_at), '[]') as span
    from (select model_version, converted_at from removed
           union all
          select model_version, converted_at from added
           union all
          select model_version, converted_at from corrected) rows_changed
   group by model_version, date_bin('1 hour', converted_at, 'epoch')
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
  left join changed on changed.model_version = asked.model_version
 group by asked.version_no, conversion_count, allocation_count
 order by asked.version_no
