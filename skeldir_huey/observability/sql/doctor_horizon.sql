-- Counts what else can hold vacuum back: prepared transactions, replication slots, sessions that are hidden from us.
-- Reads the server's own tables.
select (select count(*) from pg_prepared_xacts where database = current_database())::int as prepared,
       (select extract(epoch from clock_timestamp() - min(prepared))::float8 from pg_prepared_xacts
         where database = current_database()) as prepared_s,
       (select count(*) from pg_replication_slots where not active)::int as idle_slots,
       (select count(*) from pg_stat_activity
         where datname = current_database() and usename is distinct from session_user
           and query = '<insufficient privilege>')::int as hidden
