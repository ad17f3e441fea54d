-- Lists the sessions with the oldest transactions that this login may look into, and what keeps vacuum from cleaning up.
-- Reads the server's own tables.
select pid, usename::text as login, coalesce(application_name, '') as name, coalesce(state, '') as state,
       extract(epoch from clock_timestamp() - xact_start)::float8 as transaction_s,
       extract(epoch from clock_timestamp() - query_start)::float8 as query_s,
       backend_xmin is not null
         and age(backend_xmin) = (select max(age(backend_xmin)) from pg_stat_activity) as holds_vacuum
  from pg_stat_activity
 where xact_start is not null and pid <> pg_backend_pid() and datname = current_database()
 order by xact_start limit 5
