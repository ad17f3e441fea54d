-- Says how many dead letters of all tenants are open. Served by worker_failed_jobs_status.
select app.open_letters()::float8
