-- Ends the database sessions of a consumer that is gone or frozen, so that their locks do not block the next attempt.
select pid, pg_terminate_backend(pid) from pg_stat_activity
 where application_name = %(application_name)s and pid <> pg_backend_pid()
