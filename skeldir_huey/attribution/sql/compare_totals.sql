-- How many conversions of a window two versions allocate, and how many of those they share they split differently. By index attribution_allocations_time.
select count(*) filter (where in_a) as count_a, count(*) filter (where in_b) as count_b,
       count(*) filter (where in_a and in_b) as count_both,
       count(*) filter (where in_a and in_b and differs) as count_different
  from (select bool_or(in_a) as in_a, bool_or(in_b) as in_b, bool_or(cents_a <> cents_b) as differs
          from (select event_id, bool_or(model_version = %(version_a)s) as in_a,
                       bool_or(model_version = %(version_b)s) as in_b,
                       coalesce(sum(allocated_revenue_cents) filter (where model_version = %(version_a)s), 0) as cents_a,
                       coalesce(sum(allocated_revenue_cents) filter (where model_version = %(version_b)s), 0) as cents_b
                  from attribution_allocations
                 where tenant_id = %(tenant_id)s and model_version in (%(version_a)s, %(version_b)s)
                   and converted_at >= %(window_start)s and converted_at < %(window_end)s and not is_adjustment
                 group by event_id, channel_code) by_channel
         group by event_id) by_event
