-- Lists the tables with the most dead rows. Reads the server's statistics.
select schemaname || '.' || relname as name, n_dead_tup::bigint as dead, n_live_tup::bigint as live,
       extract(epoch from clock_timestamp() - greatest(last_autovacuum, last_vacuum))::float8 as vacuum_age_s
  from pg_stat_user_tables where n_dead_tup > 0 order by n_dead_tup desc limit 3
