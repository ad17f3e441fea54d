-- Keeps a channel report, one row per channel. By primary key.
insert into attribution_channel_reports
  (tenant_id, report_id, channel_code, report_type, chain_order, dedupe, first_day, last_day, conversion_count,
   null_count, seed, draw_count, kept_draw_count, removal_effect, share, share_low, share_high)
select %(tenant_id)s, %(report_id)s, channel_code, %(report_type)s, %(chain_order)s, %(dedupe)s, %(first_day)s,
       %(last_day)s, %(conversion_count)s, %(null_count)s, %(seed)s, %(draw_count)s, %(kept_draw_count)s,
       removal_effect, share, share_low, share_high
  from unnest(%(channels)s::text[], %(removal_effects)s::numeric[], %(shares)s::numeric[], %(lows)s::numeric[],
              %(highs)s::numeric[]) as r (channel_code, removal_effect, share, share_low, share_high)
