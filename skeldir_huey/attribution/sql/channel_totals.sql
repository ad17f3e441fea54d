-- Cents per currency and channel of a window's allocations, as one JSON object per version. By index attribution_allocations_time.
select model_version, jsonb_object_agg(currency, channels) as totals
  from (select model_version, currency, jsonb_object_agg(channel_code, cents) as channels
          from (select model_version, currency, channel_code, sum(allocated_revenue_cents)::bigint as cents
                  from attribution_allocations
                 where tenant_id = %(tenant_id)s and model_version = any(%(model_versions)s)
                   and converted_at >= %(window_start)s and converted_at < %(window_end)s
                 group by model_version, currency, channel_code) by_channel
         group by model_version, currency) by_currency
 group by model_version
