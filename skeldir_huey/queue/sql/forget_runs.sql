-- Deletes minutes of the roll-up older than 8 days, 10,000 at a time. Served by run_minute_key.
delete from huey.run_minute where id = any (array(
  select id from huey.run_minute where minute < clock_timestamp() - interval '8 days' limit 10000))
