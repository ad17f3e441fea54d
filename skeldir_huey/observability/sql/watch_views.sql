-- Says of each view how old its data are, how long its last refresh took, and whether that went well.
-- Served by matview_refresh_recent: the first row of each view, and its first good one.
-- While no input of a view changed since, its data are as old as now, whenever that refresh was.
select wanted.name,
       case when pending.change_count = 0 and not pending.is_moving and good.started_at is not null then 0.0
            else extract(epoch from clock_timestamp() - good.started_at) end::float8,
       extract(epoch from latest.ended_at - latest.started_at)::float8,
       (latest.outcome <> 'failed')::int::float8
  from unnest(%(views)s::text[]) wanted(name)
  left join app.report_backlog() pending on pending.report = wanted.name
  left join lateral (
    select started_at from matview_refresh
     where view_name = wanted.name and outcome in ('refreshed', 'unchanged')
     order by started_at desc, id desc limit 1) good on true
  left join lateral (
    select started_at, ended_at, outcome from matview_refresh
     where view_name = wanted.name and outcome in ('refreshed', 'unchanged', 'failed')
     order by started_at desc, id desc limit 1) latest on true
