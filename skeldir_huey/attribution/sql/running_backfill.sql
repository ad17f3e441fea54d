-- The running backfill of just this range and version, if there is one. By index backfills_recent.
select tenant_id, id, model_version, range_start, range_end, done_until, status, correlation_id, error_message
  from backfills
 where tenant_id = %(tenant_id)s and status = 'running' and model_version = %(model_version)s
   and range_start = %(window_start)s and range_end = %(window_end)s
 order by created_at desc, id desc
 limit 1
