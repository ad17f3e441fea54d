-- Makes the path counts of the days [first_day, end_day) what the events say, and writes only rows that differ. Events by index attribution_events_journey, counts by the primary key.
with steps as (
  -- A path ends at a conversion, or at a touch that nothing follows for a whole lookback.
  select journey_key, occurred_at, ingest_seq, kind, channel, revenue_cents, currency,
         kind = 'conversion'
           or coalesce(lead(occurred_at) over journey > occurred_at + make_interval(secs => %(lookback_s)s), true) as is_end
    from attribution_events
   where tenant_id = %(tenant_id)s and kind in ('touch', 'conversion')
     and occurred_at >= %(first_day)s::date::timestamp at time zone 'UTC' - make_interval(secs => %(lookback_s)s)
     and occurred_at < %(end_day)s::date::timestamp at time zone 'UTC' + make_interval(secs => %(lookback_s)s + 1)
  window journey as (partition by journey_key order by occurred_at, kind = 'conversion', ingest_seq)
),
numbered as (
  select steps.*, count(*) filter (where is_end) over journey as ends_before
    from steps
  window journey as (partition by journey_key order by occurred_at, kind = 'conversion', ingest_seq
                     rows between unbounded preceding and 1 preceding)
),
ended as (
  select numbered.*, max(occurred_at) over path as ended_at from numbered
  window path as (partition by journey_key, ends_before)
),
paths as (
  select (max(ended_at) at time zone 'UTC')::date as day, bool_or(kind = 'conversion') as converted,
         max(revenue_cents) filter (where kind = 'conversion') as revenue_cents,
         max(currency) filter (where kind = 'conversion') as currency,
         string_agg(channel, '>' order by occurred_at, ingest_seq)
           filter (where kind = 'touch' and occurred_at >= ended_at - make_interval(secs => %(lookback_s)s)) as path
    from ended
   where ended_at >= %(first_day)s::date::timestamp at time zone 'UTC'
     and ended_at < %(end_day)s::date::timestamp at time zone 'UTC'
   group by journey_key, ends_before
  having bool_or(is_end)
),
by_currency as (
  select day, path, currency, count(*) filter (where converted) as conversion_count,
         count(*) filter (where not converted) as null_count, sum(revenue_cents) as cents
    from paths where path is not null
   group by day, path, currency
),
computed as materialized (
  select day, sha256(convert_to(path, 'UTF8')) as path_hash, path, sum(conversion_count)::bigint as conversion_count,
         sum(null_count)::bigint as null_count,
         coalesce(jsonb_object_agg(currency, cents) filter (where currency is not null), '{}') as cents
    from by_currency
   group by day, path
),
compared as materialized (
  select day, path_hash, max(path) as path, max(conversion_count) as conversion_count, max(null_count) as null_count,
         max(cents::text)::jsonb as cents, max(old_conversion_count) as old_conversion_count,
         max(old_null_count) as old_null_count, max(old_cents::text)::jsonb as old_cents, max(place) as place
    from (select day, path_hash, path, conversion_count, null_count, cents, null::bigint as old_conversion_count,
                 null::bigint as old_null_count, null::jsonb as old_cents, null::tid as place
            from computed
           union all
          select day, path_hash, null, null, null, null, conversion_count, null_count, cents, ctid
            from attribution_path_counts
           where tenant_id = %(tenant_id)s and day >= %(first_day)s and day < %(end_day)s) both_sides
   group by day, path_hash
),
removed as (
  delete from attribution_path_counts
   where tenant_id = %(tenant_id)s and ctid = any (array(select place from compared where path is null))
  returning 1
),
written as (
  insert into attribution_path_counts (tenant_id, day, path_hash, path, conversion_count, null_count, cents)
  select %(tenant_id)s, day, path_hash, path, conversion_count, null_count, cents
    from compared
   where path is not null
     and (conversion_count, null_count, cents) is distinct from (old_conversion_count, old_null_count, old_cents)
  on conflict (tenant_id, day, path_hash) do update
     set conversion_count = excluded.conversion_count, null_count = excluded.null_count, cents = excluded.cents
  returning 1
)
select (select count(*) from computed) as path_count,
       (select count(*) from removed) + (select count(*) from written) as changed_count
