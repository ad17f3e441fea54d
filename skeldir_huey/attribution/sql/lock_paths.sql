-- Waits until no other transaction counts paths of this tenant; held to the end of the transaction. An advisory lock, no index.
select pg_advisory_xact_lock(hashtextextended('skeldir.paths:' || %(tenant_id)s::text, 0))
