-- Deletes results that nobody fetched within their time, a batch at a time. Served by result_expiry.
delete from huey.result where key in (
  select key from huey.result where expires_at < clock_timestamp() order by expires_at limit 5000)
