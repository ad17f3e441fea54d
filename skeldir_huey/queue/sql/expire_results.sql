-- Deletes results that nobody fetched within their time, a batch at a time; returns how many. Served by result_expiry.
with gone as (
  delete from huey.result where key = any (array(
    select key from huey.result where expires_at < clock_timestamp() order by expires_at limit 5000
       for update skip locked))
  returning 1
)
select count(*) as n from gone
