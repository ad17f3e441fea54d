-- Tells when a consumer last looked at the periodic tasks, in seconds; null when none ever did. Reads a small table whole.
select extract(epoch from clock_timestamp() - max(last_tick))::float8 as age_s from huey.tick
