-- The stored allocations of one event under one version. By primary key.
select channel_code, allocation_ratio, allocated_revenue_cents, currency, is_fallback, run_id
  from attribution_allocations
 where tenant_id = %(tenant_id)s and event_id = %(event_id)s and model_version = %(model_version)s
 order by channel_code
