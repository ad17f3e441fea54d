-- The allocations of a window as lines in one order, whose bytes are hashed. By index attribution_allocations_time, then sorted.
select concat_ws('|', tenant_id, event_id, model_version, channel_code, allocation_ratio, allocated_revenue_cents,
                 currency, is_fallback::text)
  from attribution_allocations
 where tenant_id = %(tenant_id)s and model_version = %(model_version)s
   and converted_at >= %(window_start)s and converted_at < %(window_end)s
 order by event_id, channel_code collate "C"
