-- One row per conversion of the window and touch that counts for it, or one row of its fallback channel when none does. Conversions by index attribution_events_valued, touches by attribution_events_journey.
select c.id as event_id, c.occurred_at, c.revenue_cents, c.currency,
       coalesce(t.channel, case
         when %(fallback)s = 'own' and c.channel <> 'unknown' then c.channel
         when %(fallback)s <> 'unknown' and c.session_id is not null then 'direct'
         else 'unknown' end) as channel_code,
       t.occurred_at is null as is_fallback, t.occurred_at as touched_at, t.ingest_seq as touch_seq
  from attribution_events c
  left join lateral (
    -- Its own subquery, in the index's order: so this index is used even while the tables have no statistics. All of
    -- its columns are in the index: the table is not read where autovacuum has been.
    select touch.channel, touch.occurred_at, touch.ingest_seq
      from attribution_events touch
     where touch.tenant_id = %(tenant_id)s and touch.journey_key = c.journey_key and touch.kind = 'touch'
       and touch.occurred_at >= c.occurred_at - make_interval(secs => %(lookback_s)s)
       and touch.occurred_at <= c.occurred_at
     order by touch.occurred_at, touch.ingest_seq) t on true
 where c.tenant_id = %(tenant_id)s and c.kind = 'conversion'
   and c.occurred_at >= %(window_start)s and c.occurred_at < %(window_end)s
