-- Writes the row of a consumer, or its heartbeat. Served by the primary key of huey.consumer.
insert into huey.consumer (id, host, pid, worker_type, worker_count, lanes, version, holds_lock)
values (%(id)s, %(host)s, %(pid)s, %(worker_type)s, %(worker_count)s, %(lanes)s, %(version)s, %(holds_lock)s)
on conflict (id) do update
   set heartbeat_at = clock_timestamp(), holds_lock = excluded.holds_lock, stopped_at = null
