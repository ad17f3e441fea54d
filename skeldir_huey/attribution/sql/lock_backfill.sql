-- Locks a backfill to the end of the transaction. By primary key.
select id from backfills where tenant_id = %(tenant_id)s and id = %(backfill_id)s for update
