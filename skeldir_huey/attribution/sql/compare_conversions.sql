-- The conversions of a window that two versions split most differently, each with its channels; those that only one of them has are left out. By index attribution_allocations_time.
with by_channel as (
  select event_id, channel_code, max(currency) as currency, max(converted_at) as converted_at,
         bool_or(model_version = %(version_a)s) as in_a, bool_or(model_version = %(version_b)s) as in_b,
         coalesce(sum(allocation_ratio) filter (where model_version = %(version_a)s), 0) as credit_a,
         coalesce(sum(allocation_ratio) filter (where model_version = %(version_b)s), 0) as credit_b,
         coalesce(sum(allocated_revenue_cents) filter (where model_version = %(version_a)s), 0)::bigint as cents_a,
         coalesce(sum(allocated_revenue_cents) filter (where model_version = %(version_b)s), 0)::bigint as cents_b
    from attribution_allocations
   where tenant_id = %(tenant_id)s and model_version in (%(version_a)s, %(version_b)s)
     and converted_at >= %(window_start)s and converted_at < %(window_end)s and not is_adjustment
   group by event_id, channel_code
),
moved as (
  select event_id, sum(abs(cents_a - cents_b)) / 2 as moved_cents
    from by_channel
   group by event_id
  having bool_or(in_a) and bool_or(in_b) and bool_or(cents_a <> cents_b)
   order by moved_cents desc, event_id
   limit %(limit)s
)
select event_id, converted_at, currency, channel_code, credit_a, credit_b, cents_a, cents_b, moved_cents::bigint
  from moved join by_channel using (event_id)
 order by moved_cents desc, event_id, channel_code
