-- Reads the values of keys that have not expired. Served by the primary key of huey.result.
select key, value from huey.result where key = any(%(keys)s) and expires_at > clock_timestamp()
