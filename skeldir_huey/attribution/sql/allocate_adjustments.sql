-- Splits every adjustment of each sale that lies in the window, or has an adjustment there, like the sale's own allocations, and writes only rows that differ; one statement, so each exact-sum trigger sees its end. By indexes attribution_events_valued and attribution_events_adjustments, and the primary key of attribution_allocations.
with sales as (
  select parent_event_id as sale_id
    from attribution_events
   where tenant_id = %(tenant_id)s and kind = 'adjustment'
     and occurred_at >= %(window_start)s and occurred_at < %(window_end)s
   union
  select s.id
    from attribution_events s
   where s.tenant_id = %(tenant_id)s and s.kind = 'conversion'
     and s.occurred_at >= %(window_start)s and s.occurred_at < %(window_end)s
     and exists (select from attribution_events a
                  where a.tenant_id = %(tenant_id)s and a.parent_event_id = s.id and a.kind = 'adjustment')
),
-- Versions are compared as expressions, so that only the key's index serves, whatever statistics know of a version.
-- All adjustments of a sale together: what is left to give back depends on those before.
adjusted as materialized (
  select a.id as event_id, a.parent_event_id as sale_id, a.occurred_at, a.currency,
         a.revenue_cents - sum(a.revenue_cents) over history as cents_before,
         -sum(a.revenue_cents) over history as cents_after
    from sales
    join attribution_events a
      on a.tenant_id = %(tenant_id)s and a.parent_event_id = sales.sale_id and a.kind = 'adjustment'
  window history as (partition by a.parent_event_id order by a.occurred_at, a.ingest_seq)
),
-- Cumulative largest remainder: what was given back up to this adjustment, less what was before it. The sale's whole
-- revenue given back is each channel's own cents, so nothing remains.
floored as (
  select j.event_id, j.occurred_at, j.currency, s.channel_code, s.allocation_ratio, s.is_fallback, p.sign, p.total,
         coalesce(div(p.total * s.allocated_revenue_cents, nullif(s.whole, 0)), 0) as cents,
         coalesce(mod(p.total * s.allocated_revenue_cents, nullif(s.whole, 0)), 0) as rest
    from adjusted j
   cross join lateral (values (1, j.cents_before), (-1, j.cents_after)) as p (sign, total)
   cross join lateral (
     select o.channel_code, o.allocation_ratio, o.is_fallback, o.allocated_revenue_cents,
            sum(o.allocated_revenue_cents) over () as whole
       from attribution_allocations o
      where o.tenant_id = %(tenant_id)s and o.event_id = j.sale_id and o.model_version || '' = %(model_version)s
      order by o.channel_code) s
),
ranked as (
  select event_id, occurred_at, currency, channel_code, allocation_ratio, is_fallback, sign, cents,
         total - sum(cents) over (partition by event_id, sign) as cents_left,
         row_number() over (partition by event_id, sign order by rest desc, channel_code) as cents_rank
    from floored
),
computed as (
  select event_id, occurred_at, currency, channel_code, allocation_ratio as ratio, is_fallback,
         sum(sign * (cents + (cents_rank <= cents_left)::integer))::bigint as cents
    from ranked
   group by event_id, occurred_at, currency, channel_code, allocation_ratio, is_fallback
),
compared as materialized (
  select event_id, channel_code, max(occurred_at) as occurred_at,
         max(ratio) as ratio, max(cents) as cents, max(currency) as currency, bool_or(is_fallback) as is_fallback,
         max(old_ratio) as old_ratio, max(old_cents) as old_cents, bool_or(old_is_fallback) as old_is_fallback,
         max(place) as place
    from (select event_id, channel_code, occurred_at, ratio, cents, currency, is_fallback,
                 null::numeric as old_ratio, null::bigint as old_cents, null::boolean as old_is_fallback,
                 null::tid as place
            from computed
           union all
          select o.event_id, o.channel_code, null, null, null, null, null,
                 o.allocation_ratio, o.allocated_revenue_cents, o.is_fallback, o.ctid
            from adjusted j
            join attribution_allocations o
              on o.tenant_id = %(tenant_id)s and o.event_id = j.event_id and o.model_version || '' = %(model_version)s)
         both_sides
   group by event_id, channel_code
),
removed as (
  delete from attribution_allocations
   where tenant_id = %(tenant_id)s and ctid = any (array(select place from compared where cents is null))
  returning converted_at
),
written as (
  insert into attribution_allocations
    (tenant_id, event_id, model_version, channel_code, allocation_ratio, allocated_revenue_cents, currency,
     is_fallback, model_type, run_id, converted_at, is_adjustment)
  select %(tenant_id)s, event_id, %(model_version)s, channel_code, ratio, cents, currency, is_fallback,
         %(model_type)s, %(run_id)s, occurred_at, true
    from compared
   where cents is not null and (old_ratio, old_cents, old_is_fallback) is distinct from (ratio, cents, is_fallback)
  on conflict (tenant_id, event_id, model_version, channel_code) do update
     set allocation_ratio = excluded.allocation_ratio,
         allocated_revenue_cents = excluded.allocated_revenue_cents,
         is_fallback = excluded.is_fallback, run_id = excluded.run_id
  returning converted_at
),
changed as (
  select count(*) as row_count, tstzrange(min(converted_at), max(converted_at), '[]') as span
    from (select converted_at from removed union all select converted_at from written) rows_changed
   group by date_bin('1 hour', converted_at, 'epoch')
)
select (select count(*) from computed
         where occurred_at >= %(window_start)s and occurred_at < %(window_end)s) as allocation_count,
       (select coalesce(sum(row_count), 0)::bigint from changed) as changed_count,
       (select range_agg(span)::text from changed) as changed_spans
