-- Refreshes one materialized view while it can be read, as its owner. It reads whole tables, no index.
select app.refresh_matview(%(view)s)
