-- Says how many consumer processes live by their heartbeat, and whether all of them hear NOTIFY. A handful of rows.
select count(*)::float8, coalesce(bool_and(holds_lock), false)::int::float8
  from huey.consumer
 where stopped_at is null and heartbeat_at > clock_timestamp() - %(frozen_after_s)s * interval '1 second'
