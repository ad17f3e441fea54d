-- Says how late the latest of these periodic tasks is: seconds since the minute after its last one. By huey.tick's key.
select coalesce(max(greatest(0, extract(epoch from clock_timestamp() - last_tick) - 60)), 0)::float8
  from huey.tick where task_name = any(%(names)s)
