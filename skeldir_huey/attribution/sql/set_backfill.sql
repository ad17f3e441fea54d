-- Says how far a backfill is, and where it stands. By primary key.
update backfills
   set done_until = %(done_until)s, status = %(status)s, error_message = null,
       finished_at = case when %(status)s = 'running' then null else clock_timestamp() end
 where tenant_id = %(tenant_id)s and id = %(backfill_id)s
returning tenant_id, id, model_version, range_start, range_end, done_until, status, correlation_id, error_message
