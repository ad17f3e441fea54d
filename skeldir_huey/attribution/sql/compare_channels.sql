-- Credit and money of each channel and currency under two versions, over the conversions of a window. By index attribution_allocations_time.
select channel_code, currency,
       coalesce(sum(allocation_ratio) filter (where model_version = %(version_a)s), 0) as credit_a,
       coalesce(sum(allocation_ratio) filter (where model_version = %(version_b)s), 0) as credit_b,
       coalesce(sum(allocated_revenue_cents) filter (where model_version = %(version_a)s), 0)::bigint as cents_a,
       coalesce(sum(allocated_revenue_cents) filter (where model_version = %(version_b)s), 0)::bigint as cents_b
  from attribution_allocations
 where tenant_id = %(tenant_id)s and model_version in (%(version_a)s, %(version_b)s)
   and converted_at >= %(window_start)s and converted_at < %(window_end)s and not is_adjustment
 group by channel_code, currency
 order by currency, channel_code
