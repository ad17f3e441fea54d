-- Says of each view how old its data are, how long its last refresh took, and whether that went well.
-- Served by matview_refresh_recent: the first row of each view, and its first good one.
select wanted.name, extract(epoch from clock_timestamp() - good.started_at)::float8,
       extract(epoch from latest.ended_at - latest.started_at)::float8,
       (latest.outcome <> 'failed')::int::float8
  from unnest(%(views)s::text[]) wanted(name)
  left join lateral (
    select started_at from matview_refresh
     where view_name = wanted.name and outcome in ('refreshed', 'unchanged')
     order by started_at desc, id desc limit 1) good on true
  left join lateral (
    select started_at, ended_at, outcome from matview_refresh
     where view_name = wanted.name and outcome in ('refreshed', 'unchanged', 'failed')
     order by started_at desc, id desc limit 1) latest on true
