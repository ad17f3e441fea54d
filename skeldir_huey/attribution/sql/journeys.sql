-- One row per conversion of the window and touch that counts for it, or one row of its fallback channel when none does. Conversions by index attribution_events_valued, touches by attribution_events_journey.
select c.id as event_id, c.occurred_at, c.revenue_cents, c.currency,
       coalesce(t.channel, case
         when c.channel <> 'unknown' then c.channel
         when c.session_id is not null then 'direct'
         else 'unknown' end) as channel_code,
       t.id is null as is_fallback, t.occurred_at as touched_at, t.ingest_seq as touch_seq
  from attribution_events c
  left join lateral (
    -- Under reset, touches up to the journey's previous conversion are spent; otherwise this is never run.
    select b.occurred_at, b.ingest_seq
      from attribution_events b
     where %(repeat)s = 'reset' and b.tenant_id = %(tenant_id)s and b.journey_key = c.journey_key
       and b.kind = 'conversion' and (b.occurred_at, b.ingest_seq) < (c.occurred_at, c.ingest_seq)
     order by b.occurred_at desc, b.ingest_seq desc
     limit 1) before on true
  left join attribution_events t
    on t.tenant_id = %(tenant_id)s and t.journey_key = c.journey_key and t.kind = 'touch'
   and t.occurred_at >= c.occurred_at - make_interval(secs => %(lookback_s)s) and t.occurred_at <= c.occurred_at
   and (before.occurred_at is null or (t.occurred_at, t.ingest_seq) > (before.occurred_at, before.ingest_seq))
 where c.tenant_id = %(tenant_id)s and c.kind = 'conversion'
   and c.occurred_at >= %(window_start)s and c.occurred_at < %(window_end)s
