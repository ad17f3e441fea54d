-- One row per view and summary: what it does not show yet, its last good refresh, its last one, who holds it. By index matview_refresh_recent.
select b.report as view_name, b.change_count, b.is_moving, b.locked_by, b.size_bytes,
       coalesce(extract(epoch from clock_timestamp() - b.oldest_at), 0)::double precision as oldest_s,
       extract(epoch from clock_timestamp() - good.started_at)::double precision as age_s,
       good.started_at as refreshed_at,
       extract(epoch from good.ended_at - good.started_at)::double precision as duration_s, good.row_count,
       last.id as last_id, last.started_at as last_started_at, last.ended_at as last_ended_at,
       last.outcome as last_outcome, last.row_count as last_row_count, last.asked_by as last_asked_by,
       last.error_message as last_error_message
  from app.report_backlog() b
  left join lateral (
    select * from matview_refresh r where r.view_name = b.report and r.outcome = 'refreshed'
     order by r.started_at desc, r.id desc limit 1) good on true
  left join lateral (
    select * from matview_refresh r where r.view_name = b.report
     order by r.started_at desc, r.id desc limit 1) last on true
