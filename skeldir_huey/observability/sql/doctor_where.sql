-- Tells one database from another: its name, and since when its server runs. Reads no table.
select current_database()::text as name, extract(epoch from pg_postmaster_start_time())::float8 as started_at
