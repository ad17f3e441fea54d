-- The same as rounded.sql where one channel has all of a conversion: there is nothing to round. No index: it takes what the credits gave.
with credits as (
  -- begin credits
  select null::uuid as event_id, null::timestamptz as occurred_at, null::bigint as revenue_cents,
         null::text as currency, null::text as channel_code, null::integer as weight, null::boolean as is_fallback
   where false
  -- end credits
)
select event_id, occurred_at, channel_code collate "C" as channel_code, currency, is_fallback, true as is_first,
       1::numeric(12, 10) as allocation_ratio, revenue_cents as allocated_revenue_cents
  from credits
