-- Reads every value that has not expired: for Huey's own all_results. Reads the whole table.
select key, value from huey.result where expires_at > clock_timestamp()
