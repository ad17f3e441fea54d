-- What one version allocated per UTC day, channel and currency, refunds included, with the newest rates that are not after the day nor too old. By index attribution_allocations_time and the primary key of exchange_rates.
with days as materialized (
  select (converted_at at time zone 'UTC')::date as day, channel_code, currency,
         count(*) filter (where not is_adjustment) as conversion_count,
         coalesce(sum(allocation_ratio) filter (where not is_adjustment), 0) as credit,
         sum(allocated_revenue_cents)::bigint as cents
    from attribution_allocations
   where tenant_id = %(tenant_id)s and model_version = %(model_version)s
     and converted_at >= %(window_start)s and converted_at < %(window_end)s
   group by 1, 2, 3
),
rated as (
  select asked.day, asked.currency, found.rate, found.day as rate_day
    from (select day, currency from days union select day, %(into)s from days) asked
    left join lateral (
      select r.rate, r.day
        from exchange_rates r
       where r.tenant_id = %(tenant_id)s and r.currency = asked.currency
         and r.day <= asked.day and r.day > asked.day - %(oldest_days)s::integer
       order by r.day desc, r.rate_seq desc
       limit 1) found on true
)
select d.day, d.channel_code, d.currency, d.conversion_count, d.credit, d.cents, own.rate as own_rate,
       own.rate_day as own_rate_day, wanted.rate as into_rate, wanted.rate_day as into_rate_day
  from days d
  left join rated own on own.day = d.day and own.currency = d.currency
  left join rated wanted on wanted.day = d.day and wanted.currency = %(into)s
 order by d.day, d.channel_code, d.currency
