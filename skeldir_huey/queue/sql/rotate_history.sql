-- Makes the history's day partitions of today and the next three days and drops those older than 7 days, unless another
-- consumer is just doing it. Settlements under way wait for it at the history itself, so none finds its day moved away.
select app.rotate_job_attempts((clock_timestamp() at time zone 'UTC')::date, 7, 3)
