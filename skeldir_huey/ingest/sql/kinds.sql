-- What each event type of the tenant is. By primary key.
select event_type, kind, needs_channel from event_kinds where tenant_id = %(tenant_id)s
