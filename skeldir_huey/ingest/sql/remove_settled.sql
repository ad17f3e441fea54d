-- Removes one batch of the tenant's refused records that were settled long ago. By index dead_events_recent.
select app.remove_settled(%(part)s, %(batch)s) as removed
