-- Lists other consumers that hold claims, with what is known of their life. A claim is a sign of life, too: one that was
-- frozen and wakes up claims before its next heartbeat. Served by job_running.
select held.consumer_id, coalesce(c.holds_lock, false) as holds_lock, c.stopped_at is not null as stopped,
       c.heartbeat_at is null
         or greatest(c.heartbeat_at, held.last_claim_at)
              < clock_timestamp() - %(frozen_after_s)s * interval '1 second' as stale
  from (select consumer_id, max(claimed_at) as last_claim_at
          from huey.job where state = 'running' group by consumer_id) held
  left join huey.consumer c on c.id = held.consumer_id
 where held.consumer_id <> %(consumer_id)s
