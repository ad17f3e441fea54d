-- Removes one batch of what lies behind the tenant's boundary. Allocations by index attribution_allocations_time, events by their primary key.
select removed, next_id from app.remove_expired(%(part)s, %(keep_days)s, %(after)s::uuid, %(batch)s)
