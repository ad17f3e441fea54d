-- Adds a backfill that has done nothing yet.
insert into backfills (tenant_id, model_version, range_start, range_end, done_until, correlation_id)
values (%(tenant_id)s, %(model_version)s, %(window_start)s, %(window_end)s, %(window_start)s, %(correlation_id)s)
returning tenant_id, id, model_version, range_start, range_end, done_until, status, correlation_id, error_message
