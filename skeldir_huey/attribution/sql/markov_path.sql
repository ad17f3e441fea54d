-- Credits of markov_path: each touch weighs its channel's trained share; when no channel of the journey has one, all touches weigh the same. No index of its own: it groups what the journeys gave.
with journeys as (
  -- begin journeys
  select null::uuid as event_id, null::timestamptz as occurred_at, null::bigint as revenue_cents,
         null::text as currency, null::text as channel_code, null::boolean as is_fallback,
         null::timestamptz as touched_at, null::bigint as touch_seq
   where false
  -- end journeys
)
select event_id, occurred_at, revenue_cents, currency, channel_code,
       touch_count * case when heaviest > 0 then share else 1 end as weight, is_fallback
  from (select counted.*, coalesce(trained.share, 0) as share,
               max(coalesce(trained.share, 0)) over (partition by event_id) as heaviest
          from (select event_id, occurred_at, revenue_cents, currency, channel_code, is_fallback,
                       count(*) as touch_count
                  from journeys
                 group by event_id, occurred_at, revenue_cents, currency, channel_code, is_fallback) counted
          left join unnest(%(share_channels)s::text[], %(shares)s::numeric[]) as trained (channel_code, share)
            on trained.channel_code = counted.channel_code) shared
 where share > 0 or heaviest = 0
