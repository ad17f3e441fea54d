-- Waits until nobody else adds adjustments or sales of orders for this tenant; held to the end of the transaction. An advisory lock, no index.
select pg_advisory_xact_lock(hashtextextended('skeldir.adjust:' || %(tenant_id)s::text, 0))
