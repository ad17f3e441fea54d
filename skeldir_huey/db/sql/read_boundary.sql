-- The instants before which a tenant's allocations and events were removed. By primary key.
select removed_before, events_removed_before from retention where tenant_id = %(tenant_id)s
