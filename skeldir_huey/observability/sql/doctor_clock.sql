-- Tells the server's time, and since when the server runs. Reads no table.
select clock_timestamp() as now, pg_postmaster_start_time() as started_at, current_setting('server_version') as version
