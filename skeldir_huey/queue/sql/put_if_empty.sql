-- Stores a value unless its key is there and has not expired; returns the key if it did. Served by the primary key.
insert into huey.result as r (key, value, is_result, expires_at)
values (%(key)s, %(value)s, false, clock_timestamp() + coalesce(%(ttl_s)s::float8, 31536000) * interval '1 second')
on conflict (key) do update set value = excluded.value, expires_at = excluded.expires_at
 where r.expires_at <= clock_timestamp()
returning key
