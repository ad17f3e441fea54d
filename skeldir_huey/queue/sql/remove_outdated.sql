-- Removes one batch of what is kept of no single tenant, once its time is over. Small tables, read whole; items of operations by bulk_item_key.
select app.remove_outdated(%(part)s, %(batch)s) as removed
