-- Whether the tenant has any refund, chargeback or cancel. By index attribution_events_adjustments.
select exists (
  select from attribution_events where tenant_id = %(tenant_id)s and kind = 'adjustment') as known
