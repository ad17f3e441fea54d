-- Stops the running backfill that a job belongs to. By the primary key's tenant_id: a tenant has few.
update backfills
   set status = 'failed', error_message = %(error_message)s, finished_at = clock_timestamp()
 where tenant_id = %(tenant_id)s and correlation_id = %(correlation_id)s and status = 'running'
