-- Forgets refreshes that are older than 30 days. By index matview_refresh_recent.
delete from matview_refresh
 where view_name = any (%(views)s::text[]) and started_at < clock_timestamp() - interval '30 days'
