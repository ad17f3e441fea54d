-- One row per conversion of the window and touch that counts for it, or one row of its fallback channel when none does. Conversions by index attribution_events_valued, touches by attribution_events_journey: journey by journey for a short window, all of them once for a long one.
select c.id as event_id, c.occurred_at, c.revenue_cents, c.currency,
       coalesce(t.channel, case
         when %(fallback)s = 'own' and c.channel <> 'unknown' then c.channel
         when %(fallback)s <> 'unknown' and c.session_id is not null then 'direct'
         else 'unknown' end) as channel_code,
       t.occurred_at is null as is_fallback, t.occurred_at as touched_at, t.ingest_seq as touch_seq
  from attribution_events c
  -- All of the columns asked for are in the index: the table is not read where autovacuum has been.
  left join attribution_events t
    on t.tenant_id = %(tenant_id)s and t.journey_key = c.journey_key and t.kind = 'touch'
   and t.occurred_at >= c.occurred_at - make_interval(secs => %(lookback_s)s)
   and t.occurred_at <= c.occurred_at
   -- Says nothing new about any touch, but lets one pass leave out those that no conversion of the window can have.
   and t.occurred_at >= %(window_start)s::timestamptz - make_interval(secs => %(lookback_s)s)
   and t.occurred_at < %(window_end)s::timestamptz
 where c.tenant_id = %(tenant_id)s and c.kind = 'conversion'
   and c.occurred_at >= %(window_start)s and c.occurred_at < %(window_end)s
