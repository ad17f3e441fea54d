-- Lists other consumers that hold claims, with what is known of their life. Served by job_running.
select held.consumer_id, coalesce(c.holds_lock, false) as holds_lock,
       c.heartbeat_at is null
         or c.heartbeat_at < clock_timestamp() - %(frozen_after_s)s * interval '1 second' as stale
  from (select distinct consumer_id from huey.job where state = 'running') held
  left join huey.consumer c on c.id = held.consumer_id
 where held.consumer_id <> %(consumer_id)s
