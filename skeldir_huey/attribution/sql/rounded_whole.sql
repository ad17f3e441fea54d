-- The same as rounded.sql where weights are counts: in machine integers as long as the product fits, which takes half the time. No index: it sorts what the credits gave.
with credits as (
  -- begin credits
  select null::uuid as event_id, null::timestamptz as occurred_at, null::bigint as revenue_cents,
         null::text as currency, null::text as channel_code, null::integer as weight, null::boolean as is_fallback
   where false
  -- end credits
),
-- A weight is below 2^31, so revenue below 2^32 cannot overflow.
floored as (
  select event_id, occurred_at, currency, channel_code collate "C" as channel_code, is_fallback, whole,
         case when revenue_cents < 4294967296 then revenue_cents * weight / whole
              else div(revenue_cents::numeric * weight, whole)::bigint end as cents,
         (case when revenue_cents < 4294967296 then mod(revenue_cents * weight, whole)
               else mod(revenue_cents::numeric * weight, whole)::bigint end)::integer as cents_rest,
         10000000000 * weight / whole as units,
         mod(10000000000 * weight, whole)::integer as units_rest
    from (select c.*, sum(weight) over (partition by event_id) as whole from credits c) weighed
),
-- What the floors leave over is what the remainders add up to.
ranked as (
  select event_id, occurred_at, currency, channel_code, is_fallback, cents, units,
         sum(cents_rest) over event / whole as cents_left,
         row_number() over (partition by event_id order by cents_rest desc, channel_code) as cents_rank,
         sum(units_rest) over event / whole as units_left,
         row_number() over (partition by event_id order by units_rest desc, channel_code) as units_rank
    from floored
  window event as (partition by event_id)
)
select event_id, occurred_at, channel_code, currency, is_fallback, cents_rank = 1 as is_first,
       ((units + (units_rank <= units_left)::integer) * 0.0000000001)::numeric(12, 10) as allocation_ratio,
       cents + (cents_rank <= cents_left)::integer as allocated_revenue_cents
  from ranked
