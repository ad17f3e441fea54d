-- Puts the end of a refresh on record. What is still said to run while this one had the right to was lost with its worker. By index matview_refresh_recent.
with lost as (
  update matview_refresh
     set outcome = 'failed', ended_at = clock_timestamp(), error_message = 'its worker was lost'
   where view_name = %(view)s and outcome = 'running' and id < %(id)s and %(outcome)s = 'refreshed'
     and started_at < clock_timestamp() - interval '1 minute'
)
update matview_refresh
   set outcome = %(outcome)s, ended_at = clock_timestamp(), row_count = %(row_count)s,
       error_message = %(error_message)s
 where id = %(id)s
returning round(extract(epoch from ended_at - started_at) * 1000)::integer as duration_ms
