-- Says whether the server started after a moment. Reads no table.
select pg_postmaster_start_time() > %(moment)s as since
