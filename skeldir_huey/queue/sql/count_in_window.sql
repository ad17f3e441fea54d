-- Counts one use in the present window of a rate limit and returns the count and the seconds left. Served by the key.
with clock as (
  select extract(epoch from coalesce(%(now)s::timestamptz, clock_timestamp())) as at
), counted as (
  insert into huey.counter as c (key, value, time_window)
  select %(key)s, %(amount)s, floor(at / %(per_s)s) from clock
  on conflict (key) do update
     set value = case when c.time_window = excluded.time_window then c.value + excluded.value else excluded.value end,
         time_window = excluded.time_window
  returning value, time_window
)
select value, ((time_window + 1) * %(per_s)s - at)::float8 as left_s from counted, clock
