-- Lists consumers that neither stopped in order nor were heard of lately. Reads a small table whole.
select host, pid, extract(epoch from clock_timestamp() - heartbeat_at)::float8 as silent_s
  from huey.consumer
 where stopped_at is null and heartbeat_at <= clock_timestamp() - %(frozen_after_s)s * interval '1 second'
   and heartbeat_at > clock_timestamp() - interval '1 hour'
 order by heartbeat_at desc limit 5
