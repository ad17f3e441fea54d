-- Shares each conversion's cents, and its whole of 10^10 units for the stored ratio, by weight: largest remainder, exact in numeric. No index: it sorts what the credits gave.
with credits as (
  -- begin credits
  select null::uuid as event_id, null::timestamptz as occurred_at, null::bigint as revenue_cents,
         null::text as currency, null::text as channel_code, null::numeric as weight, null::boolean as is_fallback
   where false
  -- end credits
),
floored as (
  select event_id, occurred_at, revenue_cents, currency, channel_code collate "C" as channel_code, is_fallback,
         div(revenue_cents::numeric * weight, whole)::bigint as cents,
         mod(revenue_cents::numeric * weight, whole) as cents_rest,
         div(10000000000::numeric * weight, whole)::bigint as units,
         mod(10000000000::numeric * weight, whole) as units_rest
    from (select c.*, sum(weight) over (partition by event_id) as whole from credits c) weighed
),
ranked as (
  select event_id, occurred_at, currency, channel_code, is_fallback, cents, units,
         revenue_cents - sum(cents) over event as cents_left,
         row_number() over (partition by event_id order by cents_rest desc, channel_code) as cents_rank,
         10000000000 - sum(units) over event as units_left,
         row_number() over (partition by event_id order by units_rest desc, channel_code) as units_rank
    from floored
  window event as (partition by event_id)
)
select event_id, occurred_at, channel_code, currency, is_fallback, cents_rank = 1 as is_first,
       ((units + (units_rank <= units_left)::integer) * 0.0000000001)::numeric(12, 10) as allocation_ratio,
       (cents + (cents_rank <= cents_left)::integer)::bigint as allocated_revenue_cents
  from ranked
