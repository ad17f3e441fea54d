-- Makes the history's day partitions of the next days and drops those older than 7 days.
select app.rotate_job_attempts((clock_timestamp() at time zone 'UTC')::date, 7, 3)
