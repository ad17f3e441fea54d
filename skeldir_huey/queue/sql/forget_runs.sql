-- Deletes minutes and quarters of the roll-up older than 8 days, 10,000 at a time. By run_minute_key and run_quarter_key.
with quarters as (
  delete from huey.run_quarter where id = any (array(
    select id from huey.run_quarter where quarter < clock_timestamp() - interval '8 days' limit 10000))
)
delete from huey.run_minute where id = any (array(
  select id from huey.run_minute where minute < clock_timestamp() - interval '8 days' limit 10000))
