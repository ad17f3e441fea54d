-- Waits until nobody else writes this tenant's ledger; held to the end of the transaction. The trigger takes the same. An advisory lock, no index.
select pg_advisory_xact_lock(hashtextextended('skeldir.ledger:' || %(tenant_id)s::text, 0))
