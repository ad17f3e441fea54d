-- The same as journeys.sql, for a long window: reads all touches that may count once, instead of looking up each journey. Conversions by index attribution_events_valued, touches by attribution_events_journey.
select c.id as event_id, c.occurred_at, c.revenue_cents, c.currency,
       coalesce(t.channel, case
         when %(fallback)s = 'own' and c.channel <> 'unknown' then c.channel
         when %(fallback)s <> 'unknown' and c.session_id is not null then 'direct'
         else 'unknown' end) as channel_code,
       t.occurred_at is null as is_fallback, t.occurred_at as touched_at, t.ingest_seq as touch_seq
  from (select true as is_sale, sale.*
          from attribution_events sale
         where sale.tenant_id = %(tenant_id)s and sale.kind = 'conversion'
           and sale.occurred_at >= %(window_start)s and sale.occurred_at < %(window_end)s) c
  -- A full join is by hash, whatever the planner thinks of the tables: without statistics it liked a loop over all
  -- touches for each conversion. Touches that stand alone are left out below, in words that do not undo this.
  full join (
    select touch.journey_key, touch.channel, touch.occurred_at, touch.ingest_seq
      from attribution_events touch
     where touch.tenant_id = %(tenant_id)s and touch.kind = 'touch'
       and touch.occurred_at >= %(window_start)s::timestamptz - make_interval(secs => %(lookback_s)s)
       and touch.occurred_at < %(window_end)s::timestamptz) t
    on t.journey_key = c.journey_key
   and t.occurred_at >= c.occurred_at - make_interval(secs => %(lookback_s)s)
   and t.occurred_at <= c.occurred_at
 where coalesce(c.is_sale, false)
