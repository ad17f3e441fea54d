-- Makes the allocations of a window what the credits say, to the cent, and writes only rows that differ; one statement, so each exact-sum trigger sees its end. Existing rows by index attribution_allocations_time.
with credits as (
  -- begin credits
  select null::uuid as event_id, null::timestamptz as occurred_at, null::bigint as revenue_cents,
         null::text as currency, null::text as channel_code, null::bigint as weight, null::boolean as is_fallback
   where false
  -- end credits
),
-- Largest remainder, twice: of the cents, and of 10^10 units for the stored ratio. Exact: numeric div and mod only.
floored as (
  select event_id, occurred_at, revenue_cents, currency, channel_code collate "C" as channel_code, is_fallback,
         div(revenue_cents::numeric * weight, whole) as cents,
         mod(revenue_cents::numeric * weight, whole) as cents_rest,
         div(10000000000::numeric * weight, whole) as units,
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
),
computed as materialized (
  select event_id, occurred_at, channel_code, currency, is_fallback, cents_rank = 1 as is_first,
         ((units + (units_rank <= units_left)::integer) * 0.0000000001)::numeric(12, 10) as allocation_ratio,
         (cents + (cents_rank <= cents_left)::integer)::bigint as allocated_revenue_cents
    from ranked
),
existing as materialized (
  select event_id, channel_code, allocation_ratio, allocated_revenue_cents, currency, is_fallback
    from attribution_allocations
   where tenant_id = %(tenant_id)s and model_version = %(model_version)s
     and converted_at >= %(window_start)s and converted_at < %(window_end)s
),
removed as (
  delete from attribution_allocations a
   using (select e.event_id, e.channel_code
            from existing e
            left join computed c on c.event_id = e.event_id and c.channel_code = e.channel_code
           where c.event_id is null) stale
   where a.tenant_id = %(tenant_id)s and a.model_version = %(model_version)s
     and a.event_id = stale.event_id and a.channel_code = stale.channel_code
  returning 1
),
-- Rows that are right already are left out here: ON CONFLICT would lock, so write, even those that it does not update.
written as (
  insert into attribution_allocations
    (tenant_id, event_id, model_version, channel_code, allocation_ratio, allocated_revenue_cents, currency,
     is_fallback, model_type, run_id, converted_at)
  select %(tenant_id)s, c.event_id, %(model_version)s, c.channel_code, c.allocation_ratio,
         c.allocated_revenue_cents, c.currency, c.is_fallback, %(model_type)s, %(run_id)s, c.occurred_at
    from computed c
    left join existing e on e.event_id = c.event_id and e.channel_code = c.channel_code
   where e.event_id is null
      or (e.allocation_ratio, e.allocated_revenue_cents, e.currency, e.is_fallback)
         is distinct from (c.allocation_ratio, c.allocated_revenue_cents, c.currency, c.is_fallback)
  on conflict (tenant_id, event_id, model_version, channel_code) do update
     set allocation_ratio = excluded.allocation_ratio,
         allocated_revenue_cents = excluded.allocated_revenue_cents,
         currency = excluded.currency, is_fallback = excluded.is_fallback, run_id = excluded.run_id
  returning 1
)
select (select count(*) filter (where is_first) from computed) as conversion_count,
       (select count(*) from computed) as allocation_count,
       (select count(*) from removed) + (select count(*) from written) as changed_count
