-- Says of each lane who drains it: consumers whose heartbeat is young, their workers, versions and whether they listen.
-- Reads small tables whole.
select l.name as lane, l.paused_at is not null as paused, count(c.id)::int as consumers,
       coalesce(sum(c.worker_count), 0)::int as workers,
       array_remove(array_agg(distinct c.version), null) as versions,
       count(*) filter (where not c.holds_lock)::int as without_lock,
       extract(epoch from clock_timestamp() - max(c.heartbeat_at))::float8 as heartbeat_age_s
  from huey.lane l
  left join huey.consumer c on l.name = any (c.lanes) and c.stopped_at is null
       and c.heartbeat_at > clock_timestamp() - %(frozen_after_s)s * interval '1 second'
 group by l.name, l.paused_at order by l.name
