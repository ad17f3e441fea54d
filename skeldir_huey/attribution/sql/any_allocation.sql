-- Whether any of these versions has allocations of sales in the window. By index attribution_allocations_time.
select exists (
  select from attribution_allocations
   where tenant_id = %(tenant_id)s and model_version = any (%(model_versions)s::text[])
     and converted_at >= %(window_start)s and converted_at < %(window_end)s
     and not is_adjustment) as known
