-- Credits of even_split: each listed channel weighs 1 for every conversion of the window. Conversions by index attribution_events_valued.
select c.id as event_id, c.occurred_at, c.revenue_cents, c.currency,
       listed.channel_code, 1 as weight, false as is_fallback
  from attribution_events c
 cross join unnest(%(channels)s::text[]) as listed (channel_code)
 where c.tenant_id = %(tenant_id)s and c.kind = 'conversion'
   and c.occurred_at >= %(window_start)s and c.occurred_at < %(window_end)s
