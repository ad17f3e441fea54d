-- Stores a value under a key. Served by the primary key of huey.result.
insert into huey.result (key, value, is_result, expires_at)
values (%(key)s, %(value)s, %(is_result)s, clock_timestamp() + coalesce(%(ttl_s)s::float8, 86400) * interval '1 second')
on conflict (key) do update
   set value = excluded.value, is_result = excluded.is_result, expires_at = excluded.expires_at
