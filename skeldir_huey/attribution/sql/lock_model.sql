-- Waits until no other transaction allocates for this tenant and model version; held to the end of the transaction. An advisory lock, no index.
select pg_advisory_xact_lock(hashtextextended('skeldir.allocate:' || %(tenant_id)s::text || ':' || %(model_version)s, 0))
