-- Lists the days from today on, in UTC, for which the history of jobs has no partition yet. Reads the catalog.
select to_char(day, 'YYYY-MM-DD') as day, day::date = (clock_timestamp() at time zone 'UTC')::date as is_today
  from generate_series(date_trunc('day', clock_timestamp() at time zone 'UTC'),
                       date_trunc('day', clock_timestamp() at time zone 'UTC') + interval '1 day',
                       interval '1 day') day
 where to_regclass('huey.job_attempt_' || to_char(day, 'YYYYMMDD')) is null
 order by day
