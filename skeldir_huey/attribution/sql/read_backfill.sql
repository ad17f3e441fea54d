-- One backfill by its id. By primary key.
select tenant_id, id, model_version, range_start, range_end, done_until, status, correlation_id, error_message
  from backfills
 where tenant_id = %(tenant_id)s and id = %(backfill_id)s
